import { useEffect, useRef } from 'react';
import { announce } from '../../components/announcer.ts';
import { useLiveList } from '../../data/list-and-watch.ts';
import type { Volume } from '../../data/resources.ts';
import { healthChanges } from './volume-announcements.ts';

/** Says it when a volume changes its state. */
export function VolumeAnnouncements() {
  const { data } = useLiveList('volumes');
  const before = useRef<readonly Volume[] | undefined>(undefined);
  useEffect(() => {
    if (data === undefined) return;
    for (const sentence of healthChanges(before.current, data)) announce(sentence);
    before.current = data;
  }, [data]);
  return null;
}
