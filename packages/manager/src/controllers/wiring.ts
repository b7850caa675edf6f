/**
 * Which change brings which keys up. The only place that knows it: controllers see keys, caches tell changes.
 */
import { parseDataSource } from '@longhorn/shared-types';
import { namespacedKey, type StoredObject, type ObjectStore } from '../datastore/object-store.ts';
import { claimKeys, type WorkloadPod } from '../datastore/workload-kinds.ts';
import { limits } from '../limits.ts';
import { ReconcileQueue, type Reconcile } from '../reconcile/queue.ts';
import { CHART_CONFIG, ChartConfigController } from './chart-config/controller.ts';
import type { ControllerContext } from './context.ts';
import { CSI_BUDGETS, reconcileBudget } from './disruption-budgets/controller.ts';
import { EngineController } from './engines/controller.ts';
import { EngineImageController } from './engine-image/controller.ts';
import { InstanceManagerController } from './instance-managers/controller.ts';
import { NodeController } from './node/controller.ts';
import { reconcileOrphan } from './orphan.ts';
import { reconcileVolumeUse } from './persistent-volumes/controller.ts';
import { ReplicaController } from './replica/controller.ts';
import { reconcileSetting } from './setting/controller.ts';
import { SnapshotController } from './snapshot/controller.ts';
import { VolumeController } from './volume/controller.ts';
import { snapshotOfTicket } from './snapshot/ticket.ts';
import { isToGrow } from './volume/expansion.ts';
import { reconcileAttachment } from './volume-attachment/controller.ts';
import { reconcileWorkloadPod } from './workload-pods/controller.ts';

export interface Controllers {
  start(): void;
  stop(): Promise<void>;
}

interface Queues {
  setting: ReconcileQueue;
  node: ReconcileQueue;
  instanceManager: ReconcileQueue;
  engineImage: ReconcileQueue;
  volume: ReconcileQueue;
  attachment: ReconcileQueue;
  engine: ReconcileQueue;
  replica: ReconcileQueue;
  snapshot: ReconcileQueue;
  orphan: ReconcileQueue;
  chartConfig: ReconcileQueue;
  budget: ReconcileQueue;
  /** Volumes, for who uses them. */
  volumeUse: ReconcileQueue;
  /** Pods with claims, by NAMESPACE/NAME. */
  workloadPod: ReconcileQueue;
}

/** Waits for the event instead of the clock: passes of this kind of change come together. */
export function makeControllers(context: ControllerContext): Controllers {
  const engines = new EngineController(context);
  const managers = new InstanceManagerController(context);
  const nodes = new NodeController(context);
  const replicas = new ReplicaController(context);
  const volumes = new VolumeController(context);
  const images = new EngineImageController(context);
  const chartConfig = new ChartConfigController(context);
  const snapshots = new SnapshotController(context, engines);
  const queue = (name: string, reconcile: Reconcile, workers?: number): ReconcileQueue => {
    const log = context.log.child({ controller: name });
    return new ReconcileQueue({
      name,
      clock: context.clock,
      log,
      reconcile,
      ...(workers === undefined ? {} : { workers }),
    });
  };
  const queues: Queues = {
    setting: queue('setting', (key) => reconcileSetting(context, key), 1),
    node: queue('node', (key) => nodes.reconcile(key)),
    instanceManager: queue('instance-manager', (key) => managers.reconcile(key)),
    engineImage: queue('engine-image', (key) => images.reconcile(key), 1),
    volume: queue('volume', (key) => volumes.reconcile(key)),
    attachment: queue('volume-attachment', (key) => reconcileAttachment(context, key)),
    engine: queue('engine', (key) => engines.reconcile(key)),
    replica: queue('replica', (key) => replicas.reconcile(key)),
    snapshot: queue('snapshot', (key) => snapshots.reconcile(key)),
    orphan: queue('orphan', (key) => reconcileOrphan(context, key), 1),
    chartConfig: queue('chart-config', (key) => chartConfig.reconcile(key), 1),
    budget: queue('disruption-budget', (key) => reconcileBudget(context, key), 1),
    volumeUse: queue('volume-use', (key) => reconcileVolumeUse(context, key)),
    workloadPod: queue('workload-pod', (key) => reconcileWorkloadPod(context, key)),
  };
  engines.enqueue = (name) => queues.engine.add(name);
  managers.enqueue = (name) => queues.instanceManager.add(name);
  nodes.enqueue = (name) => queues.node.add(name);
  wire(context, queues);
  // A full disk is a reason to fail: what is known of it may be half a minute old.
  context.datastore.stores.Replica.onChange((current, previous) => {
    const hasFailed = (current?.spec.failedAt ?? '') !== '' && previous?.spec.failedAt === '';
    if (hasFailed && current?.spec.nodeID === context.me) nodes.disks.probe();
  });
  let cancelResync: (() => void) | null = null;
  const resync = (): void => {
    enqueueAll(context, queues);
    cancelResync = context.clock.after(limits.resyncIntervalMs, resync);
  };
  return {
    start() {
      for (const each of Object.values(queues)) each.start();
      resync();
    },
    async stop() {
      cancelResync?.();
      engines.stop();
      managers.stop();
      nodes.stop();
      await Promise.all(Object.values(queues).map((each: ReconcileQueue) => each.stop()));
    },
  };
}

function enqueueAll({ datastore, me }: ControllerContext, queues: Queues): void {
  const { stores } = datastore;
  const addAll = (queue: ReconcileQueue, store: { list(): StoredObject[] }): void => {
    for (const { metadata } of store.list()) queue.add(metadata.name);
  };
  addAll(queues.setting, stores.Setting);
  addAll(queues.node, stores.Node);
  // Also if there is no such object.
  queues.node.add(me);
  addAll(queues.instanceManager, stores.InstanceManager);
  addAll(queues.engineImage, stores.EngineImage);
  addAll(queues.volume, stores.Volume);
  addAll(queues.attachment, stores.VolumeAttachment);
  addAll(queues.engine, stores.Engine);
  addAll(queues.replica, stores.Replica);
  addAll(queues.snapshot, stores.Snapshot);
  addAll(queues.orphan, stores.Orphan);
  addAll(queues.budget, stores.InstanceManager);
  addAll(queues.volumeUse, stores.Volume);
  for (const { metadata } of datastore.workloadPods.list()) queues.workloadPod.add(namespacedKey(metadata));
  for (const name of CSI_BUDGETS) queues.budget.add(name);
  for (const name of Object.values(CHART_CONFIG)) queues.chartConfig.add(name);
}

/** Calls with the current and the previous version, as far as there are. */
function onEach<T extends StoredObject>(store: ObjectStore<T>, call: (object: T) => void): void {
  store.onChange((current, previous) => {
    if (current !== null) call(current);
    if (previous !== null && current === null) call(previous);
  });
}

function wire(context: ControllerContext, queues: Queues): void {
  wireVolumes(context, queues);
  wireNodes(context, queues);
  wireInstanceManagers(context, queues);
  wireBudgets(context, queues);
  wireVolumeUse(context, queues);
  wireWorkloadPods(context, queues);
  const { stores } = context.datastore;
  onEach(stores.Setting, ({ metadata }) => queues.setting.add(metadata.name));
  onEach(stores.EngineImage, ({ metadata }) => queues.engineImage.add(metadata.name));
  onEach(stores.Orphan, ({ metadata }) => queues.orphan.add(metadata.name));
  onEach(context.datastore.configMaps, ({ metadata }) => queues.chartConfig.add(metadata.name));
  // A setting may change what volumes and nodes want.
  stores.Setting.onChange((current, previous) => {
    if (current === null || current.value === previous?.value) return;
    for (const { metadata } of stores.Volume.list()) queues.volume.add(metadata.name);
    for (const { metadata } of stores.Node.list()) queues.node.add(metadata.name);
    if (current.metadata.name === 'disable-snapshot-purge')
      for (const { metadata } of stores.Snapshot.list()) queues.snapshot.add(metadata.name);
  });
}

function wireVolumes({ datastore }: ControllerContext, queues: Queues): void {
  const { stores } = datastore;
  const snapshotsOf = (volume: string): void => {
    for (const { metadata, spec, status } of stores.Snapshot.byIndex('volume', volume)) {
      const settled = metadata.deletionTimestamp === null && status.creationTime !== '' && !spec.createSnapshot;
      if (!settled || metadata.deletionTimestamp !== null) queues.snapshot.add(metadata.name);
    }
  };
  const copiesOf = (source: string): void => {
    for (const { metadata } of stores.Volume.byIndex('source', source)) {
      queues.volume.add(metadata.name);
      for (const engine of stores.Engine.byIndex('volume', metadata.name)) queues.engine.add(engine.metadata.name);
    }
  };
  onEach(stores.Volume, ({ metadata }) => {
    queues.volume.add(metadata.name);
    queues.attachment.add(metadata.name);
    for (const engine of stores.Engine.byIndex('volume', metadata.name)) queues.engine.add(engine.metadata.name);
    for (const replica of stores.Replica.byIndex('volume', metadata.name))
      if (replica.metadata.deletionTimestamp !== null) queues.replica.add(replica.metadata.name);
    snapshotsOf(metadata.name);
    copiesOf(metadata.name);
  });
  // A copy and its source go by each other's state.
  onEach(stores.Volume, ({ spec }) => {
    const source = parseDataSource(spec.dataSource)?.volume;
    if (source === undefined || stores.Volume.get(source) === null) return;
    queues.attachment.add(source);
    snapshotsOf(source);
  });
  onEach(stores.VolumeAttachment, ({ metadata }) => {
    queues.attachment.add(metadata.name);
    queues.volume.add(metadata.name);
  });
  onEach(stores.Engine, ({ metadata, spec }) => {
    queues.engine.add(metadata.name);
    queues.volume.add(spec.volumeName);
    copiesOf(spec.volumeName);
    for (const { metadata: snapshot } of stores.Snapshot.byIndex('volume', spec.volumeName))
      queues.snapshot.add(snapshot.name);
    for (const replica of stores.Replica.byIndex('volume', spec.volumeName))
      if (replica.metadata.deletionTimestamp !== null) queues.replica.add(replica.metadata.name);
  });
  // It is attached to grow when there is room for it.
  stores.Engine.onChange((current, previous) => {
    if (current !== null && isToGrow(current) !== (previous !== null && isToGrow(previous)))
      queues.attachment.add(current.spec.volumeName);
  });
  onEach(stores.Replica, ({ metadata, spec }) => {
    queues.replica.add(metadata.name);
    queues.volume.add(spec.volumeName);
  });
  stores.Replica.onChange((current, previous) => {
    // The disk counts its replicas.
    const changed =
      current?.spec.diskID !== previous?.spec.diskID || current?.spec.volumeSize !== previous?.spec.volumeSize;
    if (!changed) return;
    for (const node of new Set([current?.spec.nodeID ?? '', previous?.spec.nodeID ?? '']))
      if (node !== '') queues.node.add(node);
  });
  onEach(stores.Snapshot, ({ metadata, spec }) => {
    queues.snapshot.add(metadata.name);
    copiesOf(spec.volume);
    if (metadata.deletionTimestamp !== null) queues.volume.add(spec.volume);
  });
  wireSnapshotTickets({ datastore }, queues);
}

/** A ticket may outlive its snapshot, and come when it is not needed any more. */
function wireSnapshotTickets({ datastore }: Pick<ControllerContext, 'datastore'>, queues: Queues): void {
  const { stores } = datastore;
  stores.Snapshot.onChange((current, previous) => {
    if (previous !== null && current?.metadata.uid !== previous.metadata.uid)
      queues.attachment.add(previous.spec.volume);
  });
  stores.VolumeAttachment.onChange((current, previous) => {
    for (const [id, ticket] of Object.entries(current?.spec.attachmentTickets ?? {})) {
      const name = snapshotOfTicket(ticket);
      if (name !== null && previous?.spec.attachmentTickets[id] === undefined) queues.snapshot.add(name);
    }
  });
}

/** What decides whether a node may lose its instance manager may change on any node. */
function wireBudgets({ datastore }: ControllerContext, queues: Queues): void {
  const { stores } = datastore;
  const all = (): void => {
    for (const { metadata } of stores.InstanceManager.list()) queues.budget.add(metadata.name);
  };
  onEach(stores.InstanceManager, all);
  onEach(datastore.kubeNodes, all);
  onEach(datastore.budgets, ({ metadata }) => {
    queues.budget.add(metadata.name);
    all();
  });
  onEach(stores.Replica, all);
  onEach(stores.Setting, all);
  const ofSidecars = (): void => {
    for (const name of CSI_BUDGETS) queues.budget.add(name);
  };
  onEach(stores.Volume, ofSidecars);
  onEach(stores.Node, ofSidecars);
}

function wireVolumeUse({ datastore }: ControllerContext, queues: Queues): void {
  const { stores, persistentVolumes, workloadPods } = datastore;
  stores.Volume.onChange((current, previous) => {
    if (current !== null && current.status.ownerID !== previous?.status.ownerID)
      queues.volumeUse.add(current.metadata.name);
  });
  onEach(persistentVolumes, ({ volumeHandle }) => queues.volumeUse.add(volumeHandle));
  onEach(workloadPods, (pod) => {
    for (const claim of claimKeys(pod))
      for (const { volumeHandle } of persistentVolumes.byIndex('claim', claim)) queues.volumeUse.add(volumeHandle);
  });
}

const POD_SETTINGS: readonly string[] = [
  'node-down-pod-deletion-policy',
  'auto-delete-pod-when-volume-detached-unexpectedly',
  'blacklist-for-auto-delete-pod-when-volume-detached-unexpectedly',
];

function wireWorkloadPods({ datastore }: ControllerContext, queues: Queues): void {
  const { stores, persistentVolumes, workloadPods } = datastore;
  const addAll = (pods: readonly WorkloadPod[]): void => {
    for (const { metadata } of pods) queues.workloadPod.add(namespacedKey(metadata));
  };
  const addUsersOf = (claim: { namespace: string; name: string } | null): void => {
    if (claim !== null) addAll(workloadPods.byIndex('claim', namespacedKey(claim)));
  };
  const addTerminating = (node: string): void =>
    addAll(workloadPods.byIndex('node', node).filter(({ metadata }) => metadata.deletionTimestamp !== null));
  onEach(workloadPods, (pod) => addAll([pod]));
  onEach(persistentVolumes, ({ claim }) => addUsersOf(claim));
  onEach(datastore.kubeAttachments, ({ nodeName }) => addTerminating(nodeName));
  onEach(datastore.kubeNodes, ({ metadata }) => addTerminating(metadata.name));
  onEach(stores.Node, ({ metadata }) => addTerminating(metadata.name));
  stores.Volume.onChange((current, previous) => {
    if (current === null || current.status.remountRequestedAt === (previous?.status.remountRequestedAt ?? '')) return;
    for (const { claim } of persistentVolumes.byIndex('volume', current.metadata.name)) addUsersOf(claim);
  });
  stores.Setting.onChange((current, previous) => {
    if (current === null || current.value === previous?.value || !POD_SETTINGS.includes(current.metadata.name)) return;
    addAll(workloadPods.list());
  });
}

/** One that is to end names no node any more, and still has its instance manager, which may be gone. */
function addEnginesOf(manager: string, { datastore: { stores } }: ControllerContext, queues: Queues): void {
  for (const { metadata } of stores.Engine.byIndex('instanceManager', manager)) queues.engine.add(metadata.name);
}

function addAllOn(node: string, context: ControllerContext, queues: Queues): void {
  const { stores } = context.datastore;
  for (const { metadata } of stores.InstanceManager.byIndex('node', node)) {
    queues.instanceManager.add(metadata.name);
    addEnginesOf(metadata.name, context, queues);
  }
  for (const { metadata } of stores.Engine.byIndex('node', node)) queues.engine.add(metadata.name);
  for (const { metadata } of stores.Replica.byIndex('node', node)) queues.replica.add(metadata.name);
  for (const { metadata } of stores.Orphan.byIndex('node', node)) queues.orphan.add(metadata.name);
}

/** Nodes that come, go or gain space matter to volumes that lack something, and to whom they belonged. */
function addNeedy({ datastore }: ControllerContext, queues: Queues): void {
  for (const { metadata, status } of datastore.stores.Volume.list()) {
    if (status.state === 'detached' && status.blockedBy.length === 0) continue;
    queues.volume.add(metadata.name);
    queues.attachment.add(metadata.name);
  }
}

function wireInstanceManagers(context: ControllerContext, queues: Queues): void {
  const { datastore } = context;
  const { stores } = datastore;
  stores.InstanceManager.onChange((current, previous) => {
    const manager = current ?? previous;
    if (manager === null) return;
    queues.instanceManager.add(manager.metadata.name);
    queues.node.add(manager.spec.nodeID);
    wakeInstances(datastore, queues, current, previous);
    if (current?.status.currentState !== previous?.status.currentState) {
      addNeedy(context, queues);
      addAllOn(manager.spec.nodeID, context, queues);
      addEnginesOf(manager.metadata.name, context, queues);
    }
  });
  // One that no engine names any more may go.
  stores.Engine.onChange((current, previous) => {
    const before = previous?.status.instanceManagerName ?? '';
    if (before === '' || current?.status.instanceManagerName === before) return;
    const manager = stores.InstanceManager.get(before);
    if (manager !== null) queues.node.add(manager.spec.nodeID);
  });
}

function wireNodes(context: ControllerContext, queues: Queues): void {
  const { datastore } = context;
  const { stores } = datastore;
  onEach(stores.Node, ({ metadata }) => {
    queues.node.add(metadata.name);
    addAllOn(metadata.name, context, queues);
    addNeedy(context, queues);
    for (const { metadata: image } of stores.EngineImage.list()) queues.engineImage.add(image.name);
  });
  // Whether a node is there decides who owns what.
  stores.Node.onChange((current, previous) => {
    const ready = (node: typeof current): string =>
      node?.status.conditions.find(({ type }) => type === 'Ready')?.reason ?? (node === null ? 'gone' : '');
    if (ready(current) === ready(previous)) return;
    for (const { metadata } of stores.Volume.list()) queues.volume.add(metadata.name);
    for (const { metadata } of stores.Engine.list()) queues.engine.add(metadata.name);
    for (const { metadata } of stores.Replica.list()) queues.replica.add(metadata.name);
    for (const { metadata } of stores.InstanceManager.list()) queues.instanceManager.add(metadata.name);
  });
  // What else there is of a volume decides whether its replica leaves a node that is drained.
  const drained = (): void => {
    for (const { metadata, unschedulable } of datastore.kubeNodes.list())
      if (unschedulable) queues.node.add(metadata.name);
  };
  onEach(stores.Replica, drained);
  stores.Replica.onChange((current, previous) => {
    const replica = current ?? previous;
    if (replica !== null && (replica.spec.evictionRequested || previous?.spec.evictionRequested === true))
      queues.attachment.add(replica.spec.volumeName);
  });
  onEach(datastore.budgets, drained);
  onEach(datastore.kubeNodes, ({ metadata }) => {
    queues.node.add(metadata.name);
    for (const { metadata: attachment } of stores.VolumeAttachment.list()) queues.attachment.add(attachment.name);
  });
  onEach(datastore.pods, ({ metadata, nodeName }) => {
    if (stores.InstanceManager.get(metadata.name) !== null) queues.instanceManager.add(metadata.name);
    if (nodeName !== '' && metadata.labels['app'] === 'longhorn-manager') queues.node.add(nodeName);
    const image = metadata.labels['longhorn.io/engine-image'];
    if (image !== undefined) queues.engineImage.add(image);
  });
  onEach(datastore.daemonSets, ({ metadata }) => {
    const image = metadata.labels['longhorn.io/engine-image'];
    if (image !== undefined) queues.engineImage.add(image);
  });
}

/** Engines and replicas whose process changed. */
function wakeInstances(
  _datastore: ControllerContext['datastore'],
  queues: Queues,
  current: { status: { instanceEngines: object; instanceReplicas: object } } | null,
  previous: { status: { instanceEngines: object; instanceReplicas: object } } | null,
): void {
  const wake = (queue: ReconcileQueue, now: object, before: object): void => {
    for (const name of new Set([...Object.keys(now), ...Object.keys(before)]))
      if (JSON.stringify(Reflect.get(now, name)) !== JSON.stringify(Reflect.get(before, name))) queue.add(name);
  };
  wake(queues.engine, current?.status.instanceEngines ?? {}, previous?.status.instanceEngines ?? {});
  wake(queues.replica, current?.status.instanceReplicas ?? {}, previous?.status.instanceReplicas ?? {});
}
