/** Snapshots of a volume. They have no stream: an attached volume's are asked of its engine now and then. */
import { useQuery, type UseQueryResult } from '@tanstack/react-query';
import { decodeCollection } from './decode.ts';
import { keys } from './keys.ts';
import { dataLimits } from './limits.ts';
import type { Snapshot, Volume } from './resources.ts';
import { postAction } from './rest-client.ts';

/** Reads the snapshots while the volume offers them, which it does while it is attached. */
export function useSnapshots(volume: Volume): UseQueryResult<readonly Snapshot[]> {
  return useQuery<readonly Snapshot[]>({
    queryKey: keys.snapshots(volume.name),
    enabled: 'snapshotList' in volume.actions,
    refetchInterval: dataLimits.snapshotsPollMs,
    queryFn: async () => decodeCollection('snapshot', await postAction('volumes', volume.name, 'snapshotList', {})),
  });
}
