/**
 * Nodes. A node's own manager writes everything about it; the others write only that it is not ready, which it cannot
 * say itself.
 */
import {
  API_VERSION,
  LABEL,
  instanceManagerName,
  newObject,
  type InstanceManager,
  type Node,
  type Replica,
} from '@longhorn/shared-types';
import { bootstrapNode } from '../../bootstrap.ts';
import type { Pod } from '../../datastore/core-kinds.ts';
import { readKubeNode } from '../../datastore/kube-nodes.ts';
import { done, earlier, type Outcome } from '../../reconcile/outcome.ts';
import { findCondition } from '../conditions.ts';
import { recordAll, settingsOf, type ControllerContext } from '../context.ts';
import { hasProtectedReplicaElsewhere } from '../disruption-budgets/protection.ts';
import { instanceManagerLabels } from '../instance-managers/pod.ts';
import { NodeDefaults } from './default-disks.ts';
import { DiskMonitor } from './disk-monitor.ts';
import { EnvironmentMonitor } from './environment-monitor.ts';
import { decideEviction, type Eviction } from './eviction.ts';
import { planNode, type NodeWorld } from './plan.ts';
import { RemovedNodes } from './removed-nodes.ts';

const COMPONENT = 'longhorn-node-controller';

export class NodeController {
  readonly #context: ControllerContext;
  readonly disks: DiskMonitor;
  readonly #surroundings: EnvironmentMonitor;
  readonly #removed: RemovedNodes;
  readonly #defaults: NodeDefaults;
  /** Set by the wiring. */
  enqueue: (name: string) => void = () => undefined;

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#removed = new RemovedNodes(context);
    this.#defaults = new NodeDefaults(context);
    const { clock, environment, datastore, me, io, log } = context;
    this.disks = new DiskMonitor(
      clock,
      io,
      { hostRoot: environment.hostRoot, newUuid: () => freeUuid(context) },
      () => datastore.stores.Node.get(me),
      () => this.enqueue(me),
    );
    this.#surroundings = new EnvironmentMonitor(
      clock,
      () => io.readHostFacts(environment.hostRoot, environment.dataRoot, me),
      () => this.enqueue(me),
      log,
    );
  }

  stop(): void {
    this.disks.stop();
    this.#surroundings.stop();
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me } = this.#context;
    const node = datastore.stores.Node.get(name);
    if (node === null || datastore.kubeNodes.get(name) !== null) this.#removed.isSettled(name);
    if (node === null) return name === me ? this.#register() : done;
    if (node.metadata.deletionTimestamp !== null) {
      await datastore.removeFinalizer('Node', node);
      return done;
    }
    if (name === me) {
      this.disks.follow(node);
      this.#surroundings.start();
    }
    const plan = planNode(this.#world(node));
    const ready = findCondition(plan.node.status.conditions, 'Ready');
    let outcome: Outcome = plan.requeueAtMs === null ? done : { kind: 'waiting', untilMs: plan.requeueAtMs };
    // A node that is well speaks for itself.
    if (name !== me && ready?.status === 'True') return outcome;
    const evictions = name === me ? this.#evictions(plan.node) : [];
    if (name === me)
      plan.node.status.autoEvicting = evictions.some(({ eviction }) => eviction.reason === 'EvictionAutomatic');
    const stored = await datastore.saveStatus('Node', node, plan.node);
    recordAll(this.#context, COMPONENT, stored, plan.events);
    if (ready?.reason === 'KubernetesNodeGone') outcome = earlier(outcome, await this.#removed.follow(stored));
    if (name !== me) return outcome;
    await this.#ensureInstanceManager(stored);
    await this.#markEvictions(stored, evictions);
    await this.#defaults.apply(stored, datastore.kubeNodes.get(me));
    return outcome;
  }

  /** This node is in Kubernetes, but our object of it was deleted: it came back after it was forgotten. */
  async #register(): Promise<Outcome> {
    const { datastore, me } = this.#context;
    if (datastore.kubeNodes.get(me) === null || (await readKubeNode(datastore.transport, me)) === null) return done;
    await bootstrapNode(this.#context);
    return done;
  }

  #world(node: Node): NodeWorld {
    const { datastore, me, clock, environment } = this.#context;
    const { name } = node.metadata;
    const settings = settingsOf(this.#context);
    const managerPod = managerPodOn(datastore.pods.byIndex('node', name));
    const replicas = new Map<string, readonly Replica[]>();
    const foreign = new Set<string>();
    if (name === me) {
      for (const { diskUUID } of Object.values(node.status.diskStatus))
        replicas.set(diskUUID, datastore.stores.Replica.byIndex('disk', diskUUID));
      for (const probe of this.disks.probes.values())
        if (probe.kind === 'found') replicas.set(probe.uuid, datastore.stores.Replica.byIndex('disk', probe.uuid));
      for (const other of datastore.stores.Node.list())
        if (other.metadata.name !== me)
          for (const { diskUUID } of Object.values(other.status.diskStatus)) foreign.add(diskUUID);
    }
    return {
      nowMs: clock.now(),
      node,
      kubeNode: datastore.kubeNodes.get(name),
      managerPod,
      respectsCordon: settings.get('disable-scheduling-on-cordoned-node'),
      own:
        name === me
          ? {
              probes: this.disks.probes,
              findings: this.#surroundings.findings,
              replicas,
              space: {
                overProvisioningPercentage: settings.get('storage-over-provisioning-percentage'),
                minimalAvailablePercentage: settings.get('storage-minimal-available-percentage'),
              },
              mountPropagates: environment.hostRoot === '' || (managerPod?.mountPropagates ?? false),
              foreignDiskUuids: foreign,
            }
          : null,
    };
  }

  /** Exactly one instance manager with the default image; others go once nothing runs in them. */
  async #ensureInstanceManager(node: Node): Promise<void> {
    const { datastore, namespace, images } = this.#context;
    const image = settingsOf(this.#context).get('default-instance-manager-image') || images.instanceManager;
    if (image === '') return;
    const nodeName = node.metadata.name;
    const name = instanceManagerName(nodeName, image, 'v1');
    for (const other of datastore.stores.InstanceManager.byIndex('node', nodeName)) {
      if (other.metadata.name === name || other.spec.dataEngine === 'v2' || other.metadata.deletionTimestamp !== null)
        continue;
      if (!this.#isBusy(other) && other.status.currentState !== 'unknown')
        await datastore.delete('InstanceManager', other.metadata.name, { propagationPolicy: 'Foreground' });
    }
    if (datastore.stores.InstanceManager.get(name) !== null) return;
    const manager = newObject('InstanceManager', namespace, name);
    manager.spec.image = image;
    manager.spec.nodeID = nodeName;
    manager.spec.type = 'aio';
    manager.spec.dataEngine = 'v1';
    manager.metadata.labels = instanceManagerLabels(manager);
    manager.metadata.ownerReferences = [
      { apiVersion: API_VERSION, kind: 'Node', name: nodeName, uid: node.metadata.uid, blockOwnerDeletion: true },
    ];
    await datastore.create('InstanceManager', manager);
  }

  /** It runs something, or an engine is between two processes in it: its device is held there. */
  #isBusy({ metadata, status }: InstanceManager): boolean {
    const processes = [...Object.values(status.instanceEngines), ...Object.values(status.instanceReplicas)];
    if (processes.some(({ status: { state } }) => state === 'running' || state === 'starting')) return true;
    if (status.currentState !== 'running') return false;
    const engines = this.#context.datastore.stores.Engine.list();
    return engines.some((engine) => engine.status.instanceManagerName === metadata.name);
  }

  /** Replicas on the disks of this node, and whether they are to leave. */
  #evictions(node: Node): EvictionOnDisk[] {
    const { datastore } = this.#context;
    const policy = settingsOf(this.#context).get('node-drain-policy');
    const isCordoned = datastore.kubeNodes.get(node.metadata.name)?.unschedulable ?? null;
    return Object.entries(node.status.diskStatus).flatMap(([disk, { diskUUID }]) => {
      const isRequested = node.spec.evictionRequested || (node.spec.disks[disk]?.evictionRequested ?? false);
      return datastore.stores.Replica.byIndex('disk', diskUUID).map((replica) => {
        // Only asked for on a node that is drained: this runs with every change of a replica.
        const hasProtectedTwin = isCordoned === true && hasProtectedReplicaElsewhere(this.#context, replica);
        return { replica, disk, eviction: decideEviction({ isRequested, isCordoned, policy, hasProtectedTwin }) };
      });
    });
  }

  async #markEvictions(node: Node, evictions: readonly EvictionOnDisk[]): Promise<void> {
    const { datastore, events } = this.#context;
    for (const { replica, disk, eviction } of evictions) {
      const { isWanted, reason } = eviction;
      if (replica.spec.evictionRequested === isWanted || replica.metadata.deletionTimestamp !== null) continue;
      await datastore.update('Replica', replica.metadata.name, (present) => {
        if (present.spec.evictionRequested === isWanted) return null;
        present.spec.evictionRequested = isWanted;
        return present;
      });
      const { name } = replica.metadata;
      events.record(COMPONENT, replica, {
        type: 'Normal',
        reason,
        message: `${isWanted ? 'Requesting' : 'Cancelling'} replica ${name} eviction from node ${node.metadata.name} and disk ${disk}`,
      });
    }
  }
}

interface EvictionOnDisk {
  replica: Replica;
  disk: string;
  eviction: Eviction;
}

function managerPodOn(pods: readonly Pod[]): Pod | null {
  const managers = pods.filter(
    (pod) => pod.metadata.labels[LABEL.app] === 'longhorn-manager' && pod.metadata.deletionTimestamp === null,
  );
  return managers.find((pod) => pod.ready) ?? managers[0] ?? null;
}

const UUID_TRIES_MAX = 20;

/** Disks are told apart by the first four digits, too. */
function freeUuid({ datastore, uuid }: ControllerContext): string {
  const taken = new Set(
    datastore.stores.Node.list().flatMap((node) =>
      Object.values(node.status.diskStatus).map((disk) => disk.diskUUID.slice(0, 4)),
    ),
  );
  for (let attempt = 0; attempt < UUID_TRIES_MAX; attempt += 1) {
    const candidate = uuid();
    if (!taken.has(candidate.slice(0, 4))) return candidate;
  }
  throw new Error(`failed to generate UUID with unique prefix after ${UUID_TRIES_MAX} attempts`);
}
