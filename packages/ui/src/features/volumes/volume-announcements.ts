/** Sentences for changes of state that nobody on this page asked for. Pure. */
import type { Volume } from '../../data/resources.ts';
import { volumeHealth } from './volume-health.ts';

const SENTENCES_MAX = 3;

/** What changed from one list to the next; none for the first list. */
export function healthChanges(before: readonly Volume[] | undefined, after: readonly Volume[]): string[] {
  if (before === undefined) return [];
  const old = new Map(before.map((volume) => [volume.name, volumeHealth(volume).label]));
  const changed = after.flatMap((volume) => {
    const was = old.get(volume.name);
    const { label } = volumeHealth(volume);
    return was === label ? [] : [`Volume ${volume.name}: ${was === undefined ? `new, ${label}` : label}`];
  });
  const now = new Set(after.map(({ name }) => name));
  const gone = before.filter(({ name }) => !now.has(name)).map(({ name }) => `Volume ${name} is gone`);
  const all = [...changed, ...gone];
  if (all.length <= SENTENCES_MAX) return all;
  return [...all.slice(0, SENTENCES_MAX), `and ${all.length - SENTENCES_MAX} more changes`];
}
