/**
 * The copy that an engine is asked for (`spec.requestedDataSource`): what its status is to say, and whether the copying is
 * to be started. Pure. The copying itself is a call that lasts as long as it; whoever has it started, the replicas tell
 * how far they are, and asking twice for the same does no harm.
 */
import { parseDataSource, type Engine } from '@longhorn/shared-types';
import type { SnapshotCloneStatusResponse } from '@longhorn/shared-types/generated/ptypes';

export type CloneStatuses = NonNullable<Engine['status']['cloneStatus']>;

export interface CloneWorld {
  /** `spec.requestedDataSource` */
  requested: string;
  /** What the status says. */
  stored: CloneStatuses;
  /** What the replicas say, by address; null: not heard yet. */
  observed: Readonly<Record<string, SnapshotCloneStatusResponse>> | null;
  /** The engine serves I/O, and all its replicas are good. */
  canCopy: boolean;
  /** The engine of the source can be asked. */
  hasSource: boolean;
  /** A call of ours is at it. */
  isRunning: boolean;
  /** Why the last call of ours failed; null: it did not. */
  failure: string | null;
}

export interface ClonePlan {
  status: CloneStatuses;
  starts: boolean;
}

export function planClone(world: CloneWorld): ClonePlan {
  const { requested, stored, observed } = world;
  if (requested === '') return { status: completeOnly(stored), starts: false };
  const isFailed = Object.values(stored).some(({ state }) => state === 'error');
  // It stays failed until the volume asks anew.
  if (isFailed || observed === null) return { status: stored, starts: false };
  const said = Object.entries(observed);
  const snapshot = parseDataSource(requested)?.snapshot ?? '';
  const isComplete = ([, one]: (typeof said)[number]): boolean =>
    one.state === 'complete' && one.snapshot_name === snapshot;
  if (said.length > 0 && said.every(isComplete)) return { status: entries(said), starts: false };
  if (!world.canCopy) return { status: stored, starts: false };
  if (world.failure !== null) return { status: failed(said, snapshot, world.failure), starts: false };
  const going = said.filter(([, { state }]) => state === 'in_progress');
  return { status: entries(going), starts: !world.isRunning && world.hasSource };
}

function completeOnly(stored: CloneStatuses): CloneStatuses {
  return Object.fromEntries(Object.entries(stored).filter(([, { state }]) => state === 'complete'));
}

function entries(said: readonly [string, SnapshotCloneStatusResponse][]): CloneStatuses {
  return Object.fromEntries(
    said
      .map(([address, one]): [string, CloneStatuses[string]] => [
        address,
        {
          error: one.error,
          fromReplicaAddress: one.from_replica_address,
          isCloning: one.is_cloning,
          progress: one.progress,
          snapshotName: one.snapshot_name,
          state: one.state,
        },
      ])
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function failed(
  said: readonly [string, SnapshotCloneStatusResponse][],
  snapshotName: string,
  error: string,
): CloneStatuses {
  const status = entries(said);
  for (const [address] of said)
    status[address] = {
      fromReplicaAddress: '',
      progress: 0,
      ...status[address],
      error,
      isCloning: false,
      snapshotName,
      state: 'error',
    };
  return status;
}
