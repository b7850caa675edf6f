/** What a volume resource says about the copying of data into it. */
import { parseDataSource } from '@longhorn/shared-types';
import type { VolumeResource } from './volume-state.ts';

/** Its content is not there yet, and comes by itself. */
export function isBeingMade({ dataSource, cloneStatus }: VolumeResource): boolean {
  return dataSource !== '' && cloneStatus.state !== 'completed' && cloneStatus.state !== 'failed';
}

/** Copies that still read the volume: those that failed, too, if they are tried again. */
export function readersOf(id: string, volumes: readonly VolumeResource[]): string[] {
  return volumes
    .filter(({ dataSource, cloneStatus, state }) => {
      if (state === 'deleting' || parseDataSource(dataSource)?.volume !== id) return false;
      const isTriedAgain = cloneStatus.state === 'failed' && cloneStatus.nextAllowedAttemptAt !== '';
      return isTriedAgain || cloneStatus.state === '' || cloneStatus.state === 'initiated';
    })
    .map((volume) => volume.id)
    .toSorted();
}
