/** Beginning and end of a volume: its first objects, the copying of its spec into them, and their removal. */
import {
  API_VERSION,
  FINALIZER,
  LABEL,
  engineImageName,
  newObject,
  nextEngineName,
  type VolumeAttachment,
} from '@longhorn/shared-types';
import { setCondition } from '../conditions.ts';
import { dropCloneSnapshot } from './clone.ts';
import { resize } from './expansion.ts';
import { holdsNewestData } from './membership.ts';
import { makeReplica, unmapMarksRemoved, wantedReplicas } from './replenish.ts';
import { block, hasHadData, isDeleting, requeue, type VolumeDraft, type VolumeWorld } from './world.ts';

/** Fills in what the admission webhook fills in, for objects that came past it. */
export function normalise(world: VolumeWorld, draft: VolumeDraft): void {
  const { spec, metadata, status } = draft.volume;
  if (!metadata.finalizers.includes(FINALIZER)) metadata.finalizers.push(FINALIZER);
  metadata.labels[LABEL.volume] ??= metadata.name;
  if (spec.image === '') spec.image = world.settings.get('default-engine-image');
  if (spec.numberOfReplicas === 0) spec.numberOfReplicas = world.settings.get('default-replica-count');
  if (spec.snapshotMaxCount === 0) spec.snapshotMaxCount = world.settings.get('snapshot-max-count');
  if (status.currentImage === '') status.currentImage = spec.image;
}

/** True if this pass made the first objects of a new volume. */
export function createFirstObjects(world: VolumeWorld, draft: VolumeDraft): boolean {
  draft.createsAttachment = world.attachment === null;
  const isNew = draft.engine === null;
  if (isNew) draft.newEngine = makeEngine(draft, unmapMarksRemoved(world, draft));
  if (draft.replicas.length === 0) {
    for (let count = 0; count < wantedReplicas(world, draft); count += 1)
      draft.newReplicas.push(makeReplica(world, draft, ''));
  }
  return isNew;
}

function makeEngine(
  { volume }: VolumeDraft,
  unmapMarksSnapshotsRemoved: boolean,
): NonNullable<VolumeDraft['newEngine']> {
  const { name, namespace, uid } = volume.metadata;
  const engine = newObject('Engine', namespace, nextEngineName(name, null));
  engine.metadata.finalizers = [FINALIZER];
  engine.metadata.labels = { [LABEL.volume]: name, [LABEL.ownerNode]: '' };
  engine.metadata.ownerReferences = [{ apiVersion: API_VERSION, kind: 'Volume', name, uid }];
  Object.assign(engine.spec, {
    volumeName: name,
    volumeSize: volume.spec.size,
    image: volume.status.currentImage,
    dataEngine: volume.spec.dataEngine,
    desireState: 'stopped',
    active: true,
    frontend: volume.spec.frontend,
    revisionCounterDisabled: volume.spec.revisionCounterDisabled,
    snapshotMaxCount: volume.spec.snapshotMaxCount,
    snapshotMaxSize: volume.spec.snapshotMaxSize,
    unmapMarkSnapChainRemovedEnabled: unmapMarksSnapshotsRemoved,
  });
  return engine;
}

export function makeAttachment(volume: VolumeDraft['volume']): VolumeAttachment {
  const { name, namespace, uid } = volume.metadata;
  const attachment = newObject('VolumeAttachment', namespace, name);
  attachment.metadata.finalizers = [FINALIZER];
  attachment.metadata.labels = { [LABEL.volume]: name };
  attachment.metadata.ownerReferences = [{ apiVersion: API_VERSION, kind: 'Volume', name, uid }];
  attachment.spec.volume = name;
  return attachment;
}

/** Copies what engine and replicas take from the volume. */
export function copySpec(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  const unmap = unmapMarksRemoved(world, draft);
  const { snapshotMaxCount, snapshotMaxSize } = volume.spec;
  if (engine !== null)
    Object.assign(engine.spec, { snapshotMaxCount, snapshotMaxSize, unmapMarkSnapChainRemovedEnabled: unmap });
  for (const replica of draft.replicas) {
    Object.assign(replica.spec, { snapshotMaxCount, snapshotMaxSize, unmapMarkDiskChainRemovedEnabled: unmap });
    replica.metadata.labels[LABEL.ownerNode] = replica.spec.nodeID;
    replica.metadata.labels[LABEL.replicaDiskUuid] = replica.spec.diskID;
  }
  if (engine !== null) engine.metadata.labels[LABEL.ownerNode] = engine.spec.nodeID;
  volume.status.frontendDisabled = volume.spec.disableFrontend;
  resize(world, draft);
  changeImage(world, draft);
}

/** A detached volume changes its image at once; an attached one keeps it until it is detached. */
function changeImage(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  if (volume.spec.image === volume.status.currentImage || volume.status.state !== 'detached') return;
  const image = world.engineImages.find(({ metadata }) => metadata.name === engineImageName(volume.spec.image));
  if (image === undefined || !['deployed', 'deploying'].includes(image.status.state)) return;
  if (engine !== null) engine.spec.image = volume.spec.image;
  for (const replica of draft.replicas) replica.spec.image = volume.spec.image;
  volume.status.currentImage = volume.spec.image;
}

const SNAPSHOTS_WARNING_MAX = 100;

/** Conditions and figures that follow from the engine. */
export function copyEngineFigures(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume, engine } = draft;
  const { conditions } = volume.status;
  const snapshots = engine?.status.snapshots ?? {};
  const names = Object.keys(snapshots);
  if (engine !== null && engine.status.snapshotsError === '' && names.length > 0) {
    volume.status.actualSize = Object.values(snapshots).reduce((sum, { size }) => sum + Number(size), 0);
  }
  const count = names.filter((name) => name !== 'volume-head').length;
  const many = count > SNAPSHOTS_WARNING_MAX;
  setCondition(
    conditions,
    {
      type: 'TooManySnapshots',
      status: many ? 'True' : 'False',
      reason: many ? 'TooManySnapshots' : '',
      message: many ? `Snapshots count is ${count} over the warning threshold ${SNAPSHOTS_WARNING_MAX}` : '',
    },
    world.nowMs,
  );
  setCondition(conditions, { type: 'Restore', status: 'False' }, world.nowMs);
  setCondition(conditions, { type: 'WaitForBackingImage', status: 'False' }, world.nowMs);
}

/** Everything of the volume goes: engine first, then the replicas with their data, then the rest. */
export function deleteAll(world: VolumeWorld, draft: VolumeDraft): void {
  const { volume } = draft;
  if (volume.status.state !== 'deleting') {
    volume.status.state = 'deleting';
    draft.events.push({ type: 'Normal', reason: 'Delete', message: `Deleting volume ${volume.metadata.name}` });
  }
  dropCloneSnapshot(world, draft);
  for (const name of world.snapshotNames) draft.deletions.push({ kind: 'Snapshot', name });
  for (const engine of world.engines)
    if (!isDeleting(engine)) draft.deletions.push({ kind: 'Engine', name: engine.metadata.name });
  if (world.engines.length > 0) {
    block(
      draft,
      'Engine',
      world.engines[0]?.metadata.name ?? '',
      'its process is being stopped',
      'the replicas are deleted after it',
    );
    return;
  }
  for (const replica of world.replicas) {
    if (!isDeleting(replica)) draft.deletions.push({ kind: 'Replica', name: replica.metadata.name });
    else
      block(
        draft,
        'Replica',
        replica.metadata.name,
        `its data on node ${replica.spec.nodeID} is being removed`,
        'the volume is gone after it',
      );
  }
  if (world.replicas.length > 0) return;
  if (world.attachment !== null && !isDeleting(world.attachment))
    draft.deletions.push({ kind: 'VolumeAttachment', name: world.attachment.metadata.name });
  draft.removesFinalizer = true;
}

/** Replicas that a person deleted from a volume in use leave its engine first. */
export function releaseDeleted(draft: VolumeDraft): void {
  for (const replica of draft.replicas) {
    if (isDeleting(replica) && !holdsNewestData(draft.engine, replica)) replica.spec.desireState = 'stopped';
  }
}

/** A faulted volume that has been detached is tried again with whatever replicas there are. */
export function recoverFaulted(world: VolumeWorld, draft: VolumeDraft, now: string): void {
  const { volume } = draft;
  if (volume.status.robustness !== 'faulted' || volume.status.state !== 'detached') return;
  const salvaged = draft.replicas.some((replica) => replica.spec.failedAt === '' && hasHadData(replica));
  if (!world.settings.get('auto-salvage') && !salvaged) {
    block(
      draft,
      'Volume',
      volume.metadata.name,
      'it is faulted and the setting auto-salvage is off',
      'salvage it by hand',
    );
    return;
  }
  const usable = draft.replicas.some(
    (replica) => replica.spec.nodeID !== '' && replica.spec.diskID !== '' && !isDeleting(replica),
  );
  if (!usable) {
    block(draft, 'Volume', volume.metadata.name, 'it has no replica with data', 'nothing can be done by itself');
    return;
  }
  volume.status.robustness = 'unknown';
  volume.status.remountRequestedAt = now;
  draft.events.push({
    type: 'Normal',
    reason: 'Remount',
    message: `Volume ${volume.metadata.name} requested remount at ${now} after automatically salvaging replicas`,
  });
  requeue(draft, world.nowMs);
}
