/**
 * Three managers with their real controllers over one API in memory, on nodes of a simulated world, in virtual time.
 * Everything that happens follows from the seed.
 */
import { pino } from 'pino';
import { bootstrapImages, bootstrapNode, bootstrapSettings } from '../src/bootstrap.ts';
import type { ControllerContext } from '../src/controllers/context.ts';
import { makeControllers, type Controllers } from '../src/controllers/wiring.ts';
import { CORE_RESOURCES } from '../src/datastore/core-kinds.ts';
import { Datastore, resourceOf } from '../src/datastore/datastore.ts';
import { EventRecorder } from '../src/datastore/event-recorder.ts';
import { MemoryApi } from '../src/datastore/memory-api.ts';
import type { WatchEvent } from '../src/datastore/kube-transport.ts';
import { VirtualClock } from '../src/virtual-clock.ts';
import { SimulatedWorld } from './simulated-world.ts';

export const NAMESPACE = 'longhorn-system';
const IMAGES = {
  engine: 'longhornio/longhorn-engine:v1.10.1',
  instanceManager: 'longhornio/longhorn-instance-manager:v1.10.1',
  manager: 'longhornio/longhorn-manager:v1.10.1',
  shareManager: 'longhornio/longhorn-share-manager:v1.10.1',
  backingImageManager: 'longhornio/backing-image-manager:v1.10.1',
  supportBundleManager: 'longhornio/support-bundle-kit:v0.0.71',
};
const DISK_BYTES = 100 * 2 ** 30;

/** A small seeded generator (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Lets everything that is ready run. */
async function drain(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export class SimulatedCluster {
  readonly clock = new VirtualClock();
  readonly world = new SimulatedWorld(this.clock);
  readonly api = new MemoryApi(() => this.clock.now());
  readonly nodes: string[];
  readonly random: () => number;
  readonly #stop = new AbortController();
  readonly #datastores: Datastore[] = [];
  readonly #controllers: Controllers[] = [];
  readonly #podIps = new Map<string, string>();
  /** Nodes that cannot pull images: a new pod never starts there. */
  readonly withoutImages = new Set<string>();
  #lastIp = 0;

  constructor(seed: number, nodeCount = 3) {
    this.random = seededRandom(seed);
    this.nodes = Array.from({ length: nodeCount }, (_, index) => `node-${index + 1}`);
  }

  async start(): Promise<void> {
    void this.#watchPods();
    for (const node of this.nodes) await this.#addNode(node);
    for (const node of this.nodes) await this.#startManager(node);
    await this.run(5_000);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const controllers of this.#controllers) await controllers.stop();
    for (const datastore of this.#datastores) await datastore.stop();
  }

  get datastore(): Datastore {
    const [first] = this.#datastores;
    if (first === undefined) throw new Error('the cluster was not started');
    return first;
  }

  /** Virtual time passes, in small steps; writes go on meanwhile. */
  async run(forMs: number): Promise<void> {
    for (let passedMs = 0; passedMs < forMs; passedMs += 250) {
      await drain();
      this.world.write();
      this.clock.advance(250);
    }
    await drain();
  }

  /** True as soon as it holds, false when the time is over. */
  async until(holds: () => boolean, withinMs: number): Promise<boolean> {
    for (let passedMs = 0; passedMs < withinMs; passedMs += 250) {
      if (holds()) return true;
      await this.run(250);
    }
    return holds();
  }

  async createVolume(name: string, replicas: number): Promise<void> {
    await this.api.create(resourceOf('Volume'), NAMESPACE, {
      metadata: { name },
      spec: {
        size: String(2 ** 30),
        numberOfReplicas: replicas,
        frontend: 'blockdev',
        accessMode: 'rwo',
        dataEngine: 'v1',
      },
    });
    await this.until(() => this.datastore.stores.VolumeAttachment.get(name) !== null, 5_000);
  }

  async attach(name: string, node: string | null): Promise<void> {
    await this.datastore.update('VolumeAttachment', name, (attachment) => {
      const ticket = { id: 't', type: 'csi-attacher', nodeID: node ?? '', parameters: {}, generation: 1 } as const;
      attachment.spec.attachmentTickets = node === null ? {} : { t: ticket };
      return attachment;
    });
  }

  /** Everything on the node is gone at once; Kubernetes notices after a while. */
  cutPower(node: string): void {
    this.world.dark.add(node);
    this.world.boots.set(node, (this.world.boots.get(node) ?? 0) + 1);
    for (const [pod, ip] of this.#podIps) {
      if (this.world.managers.get(ip)?.node !== node) continue;
      this.world.endManager(ip);
      this.#podIps.delete(pod);
    }
    this.#setKubeReady(node, 'Unknown');
    this.world.settle();
  }

  async restorePower(node: string): Promise<void> {
    this.world.dark.delete(node);
    // The kubelet finds the containers of its pods gone.
    for (const pod of this.datastore.pods.byIndex('node', node))
      if (pod.metadata.labels['longhorn.io/component'] === 'instance-manager')
        this.api.force(CORE_RESOURCES.pods, NAMESPACE, pod.metadata.name, {
          status: { phase: 'Failed', containerStatuses: [{ ready: false }] },
        });
    this.#setKubeReady(node, 'True');
    await drain();
  }

  /** The node runs on, but nobody reaches it. */
  cutNetwork(node: string): void {
    this.world.dark.add(node);
    this.#setKubeReady(node, 'Unknown');
    this.world.settle();
  }

  async restoreNetwork(node: string): Promise<void> {
    this.world.dark.delete(node);
    this.#setKubeReady(node, 'True');
    this.world.settle();
    await drain();
  }

  /** The container of the instance manager dies. */
  killInstanceManager(node: string): void {
    for (const [pod, ip] of this.#podIps) {
      if (this.world.managers.get(ip)?.node !== node) continue;
      this.#podIps.delete(pod);
      this.world.endManager(ip);
      this.api.force(CORE_RESOURCES.pods, NAMESPACE, pod, {
        status: { phase: 'Failed', containerStatuses: [{ ready: false }] },
      });
    }
  }

  /** The kubelets' view of pods; a watch that ends is taken up again at once. */
  async #watchPods(): Promise<void> {
    while (!this.#stop.signal.aborted)
      await this.api.watch(CORE_RESOURCES.pods, NAMESPACE, '', (event) => this.#onPod(event), this.#stop.signal);
  }

  #setKubeReady(node: string, status: string): void {
    const conditions = [{ type: 'Ready', status, reason: 'Kubelet', message: '' }];
    this.api.force(CORE_RESOURCES.kubeNodes, '', node, { status: { conditions } });
  }

  async #addNode(node: string): Promise<void> {
    await this.api.create(CORE_RESOURCES.kubeNodes, '', { metadata: { name: node } });
    this.#setKubeReady(node, 'True');
    const labels = { app: 'longhorn-manager' };
    await this.#runningPod(`longhorn-manager-${node}`, node, labels);
    await this.#runningPod(`engine-image-${node}`, node, { 'longhorn.io/engine-image': 'ei-3154f3aa' });
  }

  async #runningPod(name: string, node: string, labels: Record<string, string>): Promise<void> {
    await this.api.create(CORE_RESOURCES.pods, NAMESPACE, {
      metadata: { name, labels },
      spec: { nodeName: node, containers: [] },
    });
    this.#podIsUp(name, '10.0.0.1');
  }

  #podIsUp(name: string, podIP: string): void {
    const status = {
      phase: 'Running',
      podIP,
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [{ ready: true }],
    };
    this.api.force(CORE_RESOURCES.pods, NAMESPACE, name, { status });
  }

  #onPod({ type, object }: WatchEvent): void {
    const labels: unknown = object.metadata['labels'];
    const component = typeof labels === 'object' && labels !== null ? Reflect.get(labels, 'longhorn.io/component') : '';
    if (component !== 'instance-manager') return;
    const { name } = object.metadata;
    if (type === 'DELETED') {
      const ip = this.#podIps.get(name);
      this.#podIps.delete(name);
      if (ip !== undefined) this.world.endManager(ip);
    }
    if (type !== 'ADDED') return;
    const spec = object['spec'];
    const node = typeof spec === 'object' && spec !== null ? String(Reflect.get(spec, 'nodeName')) : '';
    this.clock.after(500, () => this.#startInstanceManager(name, node));
  }

  #startInstanceManager(pod: string, node: string): void {
    if (this.world.dark.has(node) || this.withoutImages.has(node)) return;
    this.#lastIp += 1;
    const ip = `10.1.${this.nodes.indexOf(node)}.${this.#lastIp}`;
    this.#podIps.set(pod, ip);
    this.world.startManager(node, ip);
    this.#podIsUp(pod, ip);
  }

  /** A node can pull images again: the pods of instance managers that wait for that start. */
  pullImages(node: string): void {
    this.withoutImages.delete(node);
    for (const { metadata } of this.datastore.stores.InstanceManager.byIndex('node', node))
      if (!this.#podIps.has(metadata.name)) this.#startInstanceManager(metadata.name, node);
  }

  async #startManager(node: string): Promise<void> {
    const { clock, api, world } = this;
    const log = pino({ level: 'silent' }, { write: () => undefined });
    const datastore = new Datastore({ transport: api, namespace: NAMESPACE, clock, log });
    const random = seededRandom(Math.floor(this.random() * 2 ** 32));
    const hex = (): string =>
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0');
    const context: ControllerContext = {
      me: node,
      namespace: NAMESPACE,
      serviceAccount: 'longhorn-service-account',
      images: IMAGES,
      environment: { hostRoot: '/nowhere', dataRoot: `/${node}`, engineBinariesDir: '/engine-binaries' },
      datastore,
      managers: world.calls(),
      io: {
        probeDisk: ({ knownUuid }, { newUuid }) =>
          Promise.resolve({
            kind: 'found',
            uuid: knownUuid || newUuid(),
            filesystemId: node,
            filesystemType: 'ext4',
            maximumBytes: DISK_BYTES,
            availableBytes: DISK_BYTES * 0.9,
          }),
        measureDisk: () => Promise.reject(new Error('a simulated node has no other disks')),
        prepareDisk: () =>
          Promise.resolve({
            filesystemId: node,
            filesystemType: 'ext4',
            maximumBytes: DISK_BYTES,
            availableBytes: DISK_BYTES,
          }),
        removeReplicaData: ({ folder }) => {
          const replica = datastore.stores.Replica.list().find(({ spec }) => spec.dataDirectoryName === folder);
          const orphan = datastore.stores.Orphan.list().find(({ spec }) => spec.parameters['DataName'] === folder);
          const name = replica?.metadata.name ?? orphan?.metadata.annotations['longhorn.io/deleted-replica'] ?? '';
          const volume = datastore.stores.Volume.list()[0];
          world.removeFolder(name, volume === undefined || volume.metadata.deletionTimestamp !== null);
          return Promise.resolve();
        },
        engineVersions: () => Promise.resolve(null),
        readHostFacts: () => Promise.reject(new Error('a simulated node has no environment')),
        blockDeviceAt: () => {
          const minor = world.deviceOn(node);
          const bootId = `boot-${world.boots.get(node) ?? 0}`;
          return Promise.resolve(minor === null ? null : { number: `7:${minor}`, bootId });
        },
      },
      events: new EventRecorder({ transport: api, namespace: NAMESPACE, clock, log, host: node, suffix: hex }),
      clock,
      log,
      hex,
      uuid: () => `${hex()}-0000-4000-8000-${hex()}0000`,
    };
    await datastore.start();
    this.#datastores.push(datastore);
    await bootstrapSettings(context);
    await bootstrapNode(context);
    await bootstrapImages(context);
    const controllers = makeControllers(context);
    controllers.start();
    this.#controllers.push(controllers);
  }
}
