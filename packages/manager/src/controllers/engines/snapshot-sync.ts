/** Keeps the Snapshot objects of a volume equal to the snapshots that its running engine lists. */
import { API_VERSION, FINALIZER, LABEL, newObject, type Engine, type Snapshot } from '@longhorn/shared-types';
import type { ControllerContext } from '../context.ts';

/** What is to be created and deleted. */
export function planSnapshotSync(
  engine: Engine,
  snapshots: readonly Snapshot[],
): { create: string[]; remove: string[] } {
  const listed = engine.status.snapshots;
  if (
    engine.status.currentState !== 'running' ||
    engine.status.snapshotsError !== '' ||
    listed['volume-head'] === undefined
  )
    return { create: [], remove: [] };
  const present = new Set(snapshots.map((snapshot) => snapshot.metadata.name));
  const create = Object.keys(listed).filter((name) => name !== 'volume-head' && !present.has(name));
  const remove = snapshots
    .filter(
      ({ metadata, spec, status }) =>
        listed[metadata.name] === undefined &&
        metadata.deletionTimestamp === null &&
        !(spec.createSnapshot && status.creationTime === ''),
    )
    .map(({ metadata }) => metadata.name);
  return { create, remove };
}

export async function syncSnapshots(context: ControllerContext, engine: Engine): Promise<void> {
  const { datastore, namespace } = context;
  const volume = datastore.stores.Volume.get(engine.spec.volumeName);
  if (volume === null || volume.metadata.deletionTimestamp !== null || !engine.spec.active) return;
  const { create, remove } = planSnapshotSync(
    engine,
    datastore.stores.Snapshot.byIndex('volume', engine.spec.volumeName),
  );
  for (const name of create) {
    // A copy has the snapshot of its source under the same name; there is one object of a name.
    if (datastore.stores.Snapshot.get(name) !== null) continue;
    const snapshot = newObject('Snapshot', namespace, name);
    snapshot.metadata.finalizers = [FINALIZER];
    snapshot.metadata.labels = { [LABEL.volume]: volume.metadata.name };
    snapshot.metadata.ownerReferences = [
      { apiVersion: API_VERSION, kind: 'Volume', name: volume.metadata.name, uid: volume.metadata.uid },
    ];
    snapshot.spec = { createSnapshot: false, labels: {}, volume: volume.metadata.name };
    await datastore.create('Snapshot', snapshot);
  }
  for (const name of remove) await datastore.delete('Snapshot', name);
}
