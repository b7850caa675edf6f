/**
 * A whole cluster in one process: API server, controllers, nodes.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { STORAGE } from './api/builtin-kinds.ts';
import type { After, Environment } from './api/environment.ts';
import { valueAt, type JsonObject } from './api/json.ts';
import type { KubeObject } from './api/object.ts';
import { Operations } from './api/operations.ts';
import { Registry } from './api/registry.ts';
import { RequestCounts } from './api/request-counts.ts';
import { startServer, type RunningServer } from './api/server.ts';
import { methodNotAllowed, notFound } from './api/status-error.ts';
import { Store } from './api/store.ts';
import { WebhookAdmission } from './api/webhook-admission.ts';
import { clusterId, lockFolder, shortRunFolder } from './cluster-folder.ts';
import type { Controller, ControllerParts } from './controllers/controller.ts';
import { daemonSetController } from './controllers/daemon-sets.ts';
import { deploymentController } from './controllers/deployments.ts';
import { endpointsController } from './controllers/endpoints.ts';
import { garbageCollector } from './controllers/garbage-collector.ts';
import { NodeLifecycle } from './controllers/node-lifecycle.ts';
import { scheduler } from './controllers/scheduler.ts';
import { ServiceProxy, type Exposure } from './controllers/service-proxy.ts';
import { serviceResolver } from './controllers/services.ts';
import { clusterToken, writeKubeconfig } from './io/kubeconfig.ts';
import { instancesMax, nodesMax, stopBetweenMs, stopFirstMs, stopSecondMs } from './limits.ts';
import { applyManifests } from './manifests.ts';
import type { DiskKind } from './node/disk.ts';
import type { ImageMap } from './node/image-map.ts';
import { Machine } from './node/machine.ts';
import { packetFilter, type PacketFilter } from './node/packet-filter.ts';
import { nodeAddresses, nodePaths, type NodeAddresses } from './node/paths.ts';
import { NODE_MARK } from './node/pod-environment.ts';
import { podLogs } from './node/pod-log-request.ts';
import { Processes } from './node/processes.ts';

export interface ClusterOptions {
  folder: string;
  nodes: number;
  /** sets clusters on one machine apart; 0 is the usual one */
  instance: number;
  apiPort: number;
  manifests: readonly JsonObject[];
  images: ImageMap;
  diskKind: DiskKind;
  diskSizeBytes: number;
  nodeGraceMs: number;
  exposures: readonly Exposure[];
  environment: Environment;
  after: After;
  /** variables that processes get from outside */
  inherited: Readonly<Record<string, string>>;
  note: (text: string, error?: unknown) => void;
}

/** A pod that keeps others alive is stopped after those that use it. */
const endsLast = (pod: KubeObject): boolean =>
  pod.metadata.labels?.['longhorn.io/component'] === 'instance-manager' ||
  valueAt(pod, 'metadata', 'labels', 'longhorn.io/component') === 'share-manager';

/**
 * Engines end before the replicas of any node do: an engine that loses its replicas while it writes out what its
 * device still holds cannot finish that. `longhorn [flags] controller …` is upstream's command line.
 */
const isEngine = (argv: string[]): boolean =>
  argv.includes('controller') && argv.some((word) => /(^|\/)longhorn(\.mjs)?$/.test(word));

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #unlock: () => void;
  readonly #store: Store;
  readonly #admission: WebhookAdmission;
  readonly #lifecycle: NodeLifecycle;
  readonly #controllers: Controller[];
  readonly #proxy: ServiceProxy;
  readonly #guards: (() => Promise<void>)[] = [];
  readonly #machines = new Map<string, Machine>();
  readonly #processes: Processes;
  readonly #id: string;
  readonly #counts = new RequestCounts();
  #filter: PacketFilter | null = null;
  #server: RunningServer | null = null;
  readonly operations: Operations;
  readonly registry: Registry;
  kubeconfig = '';
  /** where it is reached: `api`, and the exposures by their titles; also in addresses.json while it is up */
  addresses: Record<string, string> = {};

  private constructor(options: ClusterOptions) {
    this.#options = options;
    this.#unlock = lockFolder(options.folder);
    this.#id = clusterId(options.folder);
    this.#store = new Store(join(options.folder, 'state.db'));
    this.registry = new Registry(this.#store);
    const { environment, after, note } = options;
    this.#admission = new WebhookAdmission(this.#store, serviceResolver(this.#store), () => environment.uuid());
    this.operations = new Operations(this.#store, environment, this.#admission);
    this.#processes = new Processes(after);
    const parts: ControllerParts = { operations: this.operations, registry: this.registry, after, note };
    this.#lifecycle = new NodeLifecycle(parts, options.nodeGraceMs);
    this.#proxy = new ServiceProxy(parts);
    this.#controllers = [
      garbageCollector(parts),
      endpointsController(parts, options.instance),
      this.#proxy,
      scheduler(parts),
      deploymentController(parts),
      daemonSetController(parts),
    ];
  }

  /** Starts the cluster of a folder; what an earlier one left behind is removed first. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    if (options.nodes < 1 || options.nodes > nodesMax) throw new Error(`--nodes must be 1 to ${nodesMax}`);
    if (options.instance < 0 || options.instance > instancesMax)
      throw new Error(`--instance must be 0 to ${instancesMax}`);
    const cluster = new Cluster(options);
    try {
      await cluster.#start();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  async #start(): Promise<void> {
    const { folder, apiPort, manifests, exposures } = this.#options;
    const token = clusterToken(folder);
    rmSync(this.#addressFile, { force: true });
    this.#server = await startServer(
      {
        registry: this.registry,
        operations: this.operations,
        token,
        podLog: podLogs(
          (node) => this.#machines.get(node)?.kubelet ?? null,
          (node) => nodePaths(folder, node).podLogs,
        ),
        local: (method, parts) => this.#local(method, parts),
        counts: this.#counts,
        failed: (request, error) => this.#options.note(request, error),
      },
      '127.0.0.1',
      apiPort,
    );
    this.addresses = { api: `http://${this.#server.address}:${this.#server.port}` };
    this.kubeconfig = writeKubeconfig(folder, this.addresses['api'] ?? '', token);
    this.#filter = await packetFilter(this.#id, process.getuid?.() === 0, process.env['PATH'] ?? '');
    await this.#processes.kill(NODE_MARK, `${this.#id}/`);
    const nodes = Array.from({ length: this.#options.nodes }, (_, index) =>
      nodeAddresses(index + 1, this.#options.instance),
    );
    for (const node of nodes) await this.#open(node);
    // The addresses are ours now: who cut them off does not run any more.
    await this.#filter.cleanOthers(nodes);
    await this.#basics();
    await applyManifests(this.operations, this.registry, manifests);
    for (const controller of this.#controllers) {
      controller.start();
      // Services get their addresses before pods are made that are told them.
      await controller.idle();
    }
    for (const exposure of exposures) {
      const port = await this.#proxy.expose(exposure);
      this.addresses[exposure.title] = `http://${exposure.listen.address}:${port}`;
    }
    for (const machine of this.#machines.values()) await machine.powerOn();
    this.#goneNodes();
    writeFileSync(this.#addressFile, `${JSON.stringify(this.addresses)}\n`);
  }

  get #addressFile(): string {
    return join(this.#options.folder, 'addresses.json');
  }

  /** Namespaces that every cluster has. */
  async #basics(): Promise<void> {
    const names = ['default', 'kube-system', 'kube-node-lease', 'longhorn-system'];
    const namespaces = names.map((name) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
    }));
    await applyManifests(this.operations, this.registry, namespaces);
  }

  /** Nodes of an earlier, larger cluster are silent. */
  #goneNodes(): void {
    for (const node of this.#store.list(STORAGE.nodes))
      if (!this.#machines.has(node.metadata.name)) this.#lifecycle.silent(node.metadata.name);
  }

  async #open(addresses: NodeAddresses): Promise<void> {
    const { folder, environment, after, images, inherited, note, diskKind, diskSizeBytes } = this.#options;
    const paths = nodePaths(folder, addresses.name);
    await this.#guard(addresses);
    mkdirSync(paths.root, { recursive: true });
    const filter = this.#filter;
    if (filter === null) throw new Error('the packet filter is chosen before nodes are opened');
    const machine = await Machine.open({
      operations: this.operations,
      processes: this.#processes,
      after,
      images,
      addresses,
      paths,
      runFolder: shortRunFolder(paths.run, this.#id, addresses.name),
      mark: `${this.#id}/${addresses.name}`,
      environment: { ...inherited, KUBECONFIG: this.kubeconfig },
      note,
      filter,
      isRoot: process.getuid?.() === 0,
      diskSizeBytes,
      diskKind,
      uuid: () => environment.uuid(),
    });
    await machine.clean();
    this.#machines.set(addresses.name, machine);
  }

  /** Holds a port of the node's address, so that two clusters never share one. */
  #guard({ name, address }: NodeAddresses): Promise<void> {
    const server = createServer((socket) => socket.destroy());
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        reject(
          error.code === 'EADDRINUSE'
            ? new Error(
                `the address ${address} of ${name} (port 10250) belongs to another local-cluster on this machine; stop that one, or start this one with --instance 1`,
              )
            : error,
        ),
      );
      server.listen(10250, address, () => {
        this.#guards.push(() => new Promise((done) => server.close(() => done())));
        resolve();
      });
    });
  }

  /** Requests under /local. */
  async #local(method: string, parts: string[]): Promise<JsonObject | null> {
    const [what, name, action] = parts;
    if (what === 'writes' && parts.length === 1 && method === 'GET') return this.#counts.writes();
    if (what !== 'nodes' || parts.length > 3) return null;
    if (name === undefined) {
      if (method !== 'GET') throw methodNotAllowed();
      return { nodes: [...this.#machines.values()].map((machine) => machine.describe()) };
    }
    const machine = this.#machines.get(name);
    if (machine === undefined) throw notFound({ group: '', kind: 'nodes', name });
    if (action !== undefined && method !== 'POST') throw methodNotAllowed();
    switch (action) {
      case undefined:
        return machine.describe();
      case 'power-cut':
        await this.powerCut(name);
        return machine.describe();
      case 'power-on':
        await this.powerOn(name);
        return machine.describe();
      default:
        return null;
    }
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw notFound({ group: '', kind: 'nodes', name });
    return machine;
  }

  /** Cuts a node's power; returns when nothing of it runs any more. */
  async powerCut(name: string): Promise<void> {
    const machine = this.#machine(name);
    this.#lifecycle.silent(name);
    await machine.powerCut();
  }

  /** Gives a node its power back. */
  async powerOn(name: string): Promise<void> {
    const machine = this.#machine(name);
    await machine.powerOn();
    this.#lifecycle.returned(name);
  }

  /** Stops everything in good order; state stays for the next start. */
  async stop(): Promise<void> {
    const { note } = this.#options;
    rmSync(this.#addressFile, { force: true });
    for (const controller of this.#controllers) if (controller !== this.#proxy) await controller.close();
    this.#lifecycle.close();
    const machines = [...this.#machines.values()];
    for (const machine of machines)
      for (const point of await machine.releaseUsers())
        note(`${point} is mounted from a volume and in use; its data was written out, the mount is taken away`);
    const kubelets = machines.flatMap((machine) => machine.kubelet ?? []);
    await Promise.all(kubelets.map((kubelet) => kubelet.stopPods((pod) => !endsLast(pod), stopFirstMs)));
    await this.#processes.ask(NODE_MARK, `${this.#id}/`, isEngine, stopBetweenMs);
    await Promise.all(kubelets.map((kubelet) => kubelet.stopPods(endsLast, stopSecondMs)));
    await Promise.all(machines.map((machine) => machine.shutDown()));
    await this.#filter?.clean();
    await this.#proxy.close();
    await this.#server?.close();
    this.#admission.close();
    for (const release of this.#guards) await release();
    this.#store.close();
    this.#unlock();
  }
}
