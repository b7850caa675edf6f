/** Collects what a pass over a volume sees from the caches. */
import { LABEL, parseDataSource, type Node, type Volume } from '@longhorn/shared-types';
import type { Datastore } from '../../datastore/datastore.ts';
import type { BlockDevice } from '../../io/block-device.ts';
import type { CandidateDisk, CandidateNode } from '../../scheduler/scheduling-world.ts';
import { findCondition, isTrue } from '../conditions.ts';
import { imageIsReadyOn, settingsOf, type ControllerContext } from '../context.ts';
import { engineServes, type CloneSource, type VolumeWorld } from './world.ts';

interface DeviceView extends Pick<ControllerContext, 'datastore' | 'me' | 'environment'> {
  io: Pick<ControllerContext['io'], 'blockDeviceAt'>;
}

/** The device of a volume that is served on this node. */
export async function observeDevice(
  { datastore, me, io, environment }: DeviceView,
  { metadata, status }: Volume,
): Promise<BlockDevice | null> {
  if (status.currentNodeID !== me) return null;
  const engine = datastore.stores.Engine.byIndex('volume', metadata.name).find(({ spec }) => spec.active) ?? null;
  if (engine === null || !engineServes(engine) || !engine.status.endpoint.startsWith('/dev/')) return null;
  return io.blockDeviceAt(engine.status.endpoint, environment.hostRoot);
}

export function observeVolume(
  context: ControllerContext,
  volume: Volume,
  reuseNotBeforeMs: ReadonlyMap<string, number>,
  device: BlockDevice | null = null,
): VolumeWorld {
  const { datastore, clock, hex } = context;
  const { stores } = datastore;
  const { name } = volume.metadata;
  return {
    nowMs: clock.now(),
    hex,
    volume,
    engines: stores.Engine.byIndex('volume', name),
    replicas: stores.Replica.byIndex('volume', name),
    attachment: stores.VolumeAttachment.get(name),
    device,
    snapshotNames: stores.Snapshot.byIndex('volume', name)
      .filter(({ metadata }) => metadata.deletionTimestamp === null)
      .map(({ metadata }) => metadata.name),
    cloneSource: cloneSourceOf(datastore, volume),
    nodes: new Map(stores.Node.list().map((node) => [node.metadata.name, node])),
    outOfServiceNodes: new Set(
      datastore.kubeNodes.list().flatMap(({ metadata, isOutOfService }) => (isOutOfService ? [metadata.name] : [])),
    ),
    instanceManagers: stores.InstanceManager.list(),
    engineImages: stores.EngineImage.list(),
    candidateNodes: stores.Node.list()
      .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map((node) => candidateNode(context, node)),
    settings: settingsOf(context),
    reuseNotBeforeMs,
  };
}

function cloneSourceOf({ stores }: Datastore, { spec }: Volume): CloneSource | null {
  const source = parseDataSource(spec.dataSource);
  if (source === null) return null;
  const { volume } = source;
  return {
    volume: stores.Volume.get(volume),
    engine: stores.Engine.byIndex('volume', volume).find((engine) => engine.spec.active) ?? null,
    snapshots: stores.Snapshot.byIndex('volume', volume),
  };
}

export function candidateNode(context: ControllerContext, node: Node): CandidateNode {
  const { stores } = context.datastore;
  const { name } = node.metadata;
  const image = settingsOf(context).get('default-instance-manager-image') || context.images.instanceManager;
  const managers = stores.InstanceManager.byIndex('node', name);
  return {
    name,
    zone: node.status.zone,
    tags: node.spec.tags,
    deleting: node.metadata.deletionTimestamp !== null,
    ready: isTrue(node.status.conditions, 'Ready'),
    schedulable: isTrue(node.status.conditions, 'Schedulable'),
    allowScheduling: node.spec.allowScheduling,
    evictionRequested: node.spec.evictionRequested,
    instanceManagerReady: managers.some((im) => im.spec.image === image && im.status.currentState === 'running'),
    imagesReady: stores.EngineImage.list()
      .filter((engineImage) => imageIsReadyOn(engineImage, name))
      .map(({ metadata }) => metadata.name),
    disks: Object.keys(node.spec.disks)
      .toSorted()
      .flatMap((disk) => candidateDisk(context.datastore, node, disk)),
  };
}

/** A disk of a node as the scheduler sees it; nothing while its status is not known. */
export function candidateDisk(datastore: Datastore, node: Node, name: string): CandidateDisk[] {
  const spec = node.spec.disks[name];
  const status = node.status.diskStatus[name];
  if (spec === undefined || status === undefined) return [];
  const schedulable = findCondition(status.conditions, 'Schedulable');
  // Counted from the replicas themselves: the node's own figure is as old as its last pass.
  const replicas = datastore.store('Replica').byIndex('disk', status.diskUUID);
  const backingImages = Object.values(status.scheduledBackingImage).reduce((sum, bytes) => sum + bytes, 0);
  return [
    {
      name,
      uuid: status.diskUUID,
      path: spec.path,
      tags: spec.tags,
      filesystemType: status.filesystemType,
      isFilesystem: spec.diskType !== 'block',
      allowScheduling: spec.allowScheduling,
      evictionRequested: spec.evictionRequested,
      ready: isTrue(status.conditions, 'Ready'),
      schedulable: schedulable?.status === 'True',
      unschedulableReason: schedulable?.reason ?? '',
      maximumBytes: status.storageMaximum,
      availableBytes: status.storageAvailable,
      reservedBytes: spec.storageReserved,
      scheduledBytes: replicas.reduce((sum, replica) => sum + Number(replica.spec.volumeSize), backingImages),
    },
  ];
}

/** Pods that tell of a manager: their changes concern nodes. */
export function isManagerPod(labels: Readonly<Record<string, string>>): boolean {
  return labels[LABEL.app] === 'longhorn-manager';
}
