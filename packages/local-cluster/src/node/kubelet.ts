/**
 * The agent of one node: runs the pods that are bound to it, keeps its Node object, and goes dark when its power is cut.
 */
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { timestamp, type After } from '../api/environment.ts';
import { equal, listAt, objectAt, stringAt, valueAt, type JsonObject } from '../api/json.ts';
import type { KubeObject } from '../api/object.ts';
import type { Operations } from '../api/operations.ts';
import type { StoreEvent } from '../api/store.ts';
import { oldPodLogsKept, podAddressesFirst, podAddressesLast } from '../limits.ts';
import type { Program } from './container.ts';
import { placeEngine, removeEngine } from './engine-image.ts';
import { commandLine, repositoryName, type ImageMap } from './image-map.ts';
import { nodeObject, type NodeFacts } from './node-object.ts';
import type { NodeAddresses, NodePaths } from './paths.ts';
import { podFrom, type ContainerSpec, type Pod } from './pod.ts';
import { containerEnvironment, expand, NODE_MARK } from './pod-environment.ts';
import { pruneLogs, type PodLogFile } from './pod-log.ts';
import { podFolder, PodWorker, removeObject } from './pod-worker.ts';
import type { Processes } from './processes.ts';
import { mountedVariables, SecretVolumes } from './secret-volumes.ts';

const NODE = builtinType(STORAGE.nodes);
const POD = builtinType(STORAGE.pods);

export interface KubeletParts {
  operations: Operations;
  processes: Processes;
  after: After;
  images: ImageMap;
  addresses: NodeAddresses;
  paths: NodePaths;
  /** folder by which processes reach `paths.run`; short, because socket names have a limit */
  runFolder: string;
  /** `<cluster id>/<node>` */
  mark: string;
  /** variables of the cluster: KUBECONFIG, PATH … */
  environment: Readonly<Record<string, string>>;
  note: (text: string, error?: unknown) => void;
}

export class Kubelet {
  readonly #parts: KubeletParts;
  readonly #workers = new Map<string, PodWorker>();
  #unsubscribe: (() => void) | null = null;
  #secrets: SecretVolumes | null = null;
  #lastAddress = podAddressesFirst - 1;
  #stopping = false;

  constructor(parts: KubeletParts) {
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.addresses.name;
  }

  /** Brings the node up: its object, then its pods. */
  async start(facts: NodeFacts): Promise<void> {
    const { operations, paths } = this.#parts;
    this.#stopping = false;
    const binaries = join(paths.disk, 'engine-binaries');
    for (const folder of [binaries, join(paths.disk, 'unix-domain-socket'), paths.podLogs, paths.instanceLogs])
      mkdirSync(folder, { recursive: true });
    chmodSync(paths.disk, 0o700);
    await this.#register(facts);
    const mine = operations.store.list(STORAGE.pods).filter((pod) => this.#isMine(pod));
    pruneLogs(paths.podLogs, new Set(mine.map((pod) => pod.metadata.uid)), oldPodLogsKept);
    for (const pod of mine) await this.#returned(pod);
    this.#secrets = new SecretVolumes(operations.store, this.#parts.note);
    this.#unsubscribe = operations.store.subscribe(STORAGE.pods, (event) => this.#heard(event));
    for (const pod of operations.store.list(STORAGE.pods)) if (this.#isMine(pod)) this.#wanted(pod);
  }

  #isMine(pod: KubeObject): boolean {
    return valueAt(pod, 'spec', 'nodeName') === this.name;
  }

  async #register(facts: NodeFacts): Promise<void> {
    const { operations, addresses } = this.#parts;
    const now = timestamp(operations.environment.now());
    const wanted = nodeObject(addresses, facts, now);
    if (operations.store.get(STORAGE.nodes, '', this.name) === null) await operations.create(NODE, wanted);
    await operations.update(NODE, '', this.name, '', (current) => {
      const spec = objectAt(current['spec']);
      const taints = listAt(spec['taints']).filter(
        (taint) => !stringAt(valueAt(taint, 'key')).startsWith('node.kubernetes.io/'),
      );
      const { taints: _, ...rest } = spec;
      const labels = { ...wanted.metadata.labels, ...current.metadata.labels };
      return {
        ...current,
        metadata: { ...current.metadata, labels },
        spec: { ...rest, ...(taints.length === 0 ? {} : { taints }) },
      };
    });
    await operations.update(NODE, '', this.name, 'status', (current) => ({
      ...current,
      status: { ...objectAt(current['status']), ...objectAt(wanted['status']), ...keptTransitions(current, wanted) },
    }));
  }

  /** A pod that was here before the node went down: its processes are gone. */
  async #returned(object: KubeObject): Promise<void> {
    const { operations } = this.#parts;
    if (object.metadata.deletionTimestamp !== undefined) return removeObject(operations, object);
    const pod = podFrom(object);
    const started = valueAt(object, 'status', 'startTime') !== undefined;
    const phase = valueAt(object, 'status', 'phase');
    if (!started || pod.restartPolicy === 'Always' || phase === 'Failed' || phase === 'Succeeded') return;
    const finishedAt = timestamp(operations.environment.now());
    await operations.update(POD, pod.namespace, pod.name, 'status', (current) => {
      const status = objectAt(current['status']);
      const terminated = { exitCode: 137, reason: 'NodeRestarted', finishedAt };
      return {
        ...current,
        status: {
          ...status,
          phase: 'Failed',
          reason: 'NodeRestarted',
          message: 'the node was started anew, its processes were gone',
          conditions: listAt(status['conditions']).map((entry) =>
            ['Ready', 'ContainersReady'].includes(stringAt(valueAt(entry, 'type'))) &&
            valueAt(entry, 'status') !== 'False'
              ? { ...objectAt(entry), status: 'False', lastTransitionTime: finishedAt }
              : entry,
          ),
          containerStatuses: listAt(status['containerStatuses']).map((entry) => ({
            ...objectAt(entry),
            ready: false,
            started: false,
            state: { terminated },
          })),
        },
      };
    });
  }

  #heard(event: StoreEvent): void {
    if (!this.#isMine(event.object)) return;
    if (event.type === 'DELETED') this.#gone(event.object);
    else this.#wanted(event.object);
  }

  /** Something is to happen for a pod: it is new, or it is to end. */
  #wanted(object: KubeObject): void {
    if (this.#stopping) return;
    const { uid, deletionTimestamp } = object.metadata;
    const worker = this.#workers.get(uid);
    if (deletionTimestamp !== undefined) {
      const graceMs = (object.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
      this.#background(
        worker === undefined ? removeObject(this.#parts.operations, object) : this.#terminate(worker, object, graceMs),
      );
      return;
    }
    const phase = valueAt(object, 'status', 'phase');
    if (worker !== undefined || phase === 'Failed' || phase === 'Succeeded') return;
    const started = this.#worker(podFrom(object));
    this.#workers.set(uid, started);
    this.#background(started.run());
  }

  async #terminate(worker: PodWorker, object: KubeObject, graceMs: number): Promise<void> {
    await worker.terminate(graceMs);
    this.#left(worker.uid);
    await this.#removeEngines(object);
  }

  /** The object was removed at once (`--force`): what it ran ends now. */
  #gone(object: KubeObject): void {
    const worker = this.#workers.get(object.metadata.uid);
    if (worker === undefined || this.#stopping) return;
    this.#background(worker.stop(0).then(() => this.#left(worker.uid)));
  }

  #left(uid: string): void {
    this.#workers.delete(uid);
    this.#secrets?.unmount(uid);
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#parts.note(`${this.name}: work on a pod failed`, error));
  }

  /** Programs of engine images whose last pod on this node is gone. */
  async #removeEngines(object: KubeObject): Promise<void> {
    if (this.#stopping) return;
    const pods = this.#parts.operations.store.list(STORAGE.pods).filter((pod) => this.#isMine(pod));
    const used = new Set(pods.flatMap((pod) => podFrom(pod).containers.map((container) => container.image)));
    for (const { image } of podFrom(object).containers)
      if (this.#parts.images.get(repositoryName(image))?.kind === 'engine' && !used.has(image))
        await removeEngine(join(this.#parts.paths.disk, 'engine-binaries'), image);
  }

  #worker(pod: Pod): PodWorker {
    const { operations, processes, after, addresses, paths, note } = this.#parts;
    const podIp = pod.hostNetwork ? addresses.address : this.#podAddress(pod);
    return new PodWorker(pod, {
      operations,
      processes,
      after,
      podLogs: paths.podLogs,
      podIp,
      hostIp: addresses.address,
      program: (of, container) => this.#program(of, container, podIp),
      note,
    });
  }

  /** The address that the pod had before, or the next free one; an address rests as long as others are free. */
  #podAddress(pod: Pod): string {
    const { addresses, operations } = this.#parts;
    const taken = new Set(
      operations.store
        .list(STORAGE.pods)
        .filter((other) => this.#isMine(other) && other.metadata.uid !== pod.uid)
        .map((other) => stringAt(valueAt(other, 'status', 'podIP'))),
    );
    for (const worker of this.#workers.values()) taken.add(worker.podIp);
    const known = stringAt(valueAt(pod.object, 'status', 'podIP'));
    if (known.startsWith(addresses.podAddress(0).slice(0, -1)) && !taken.has(known)) return known;
    const count = podAddressesLast - podAddressesFirst + 1;
    for (let step = 1; step <= count; step++) {
      const host = podAddressesFirst + ((this.#lastAddress - podAddressesFirst + step + count) % count);
      const address = addresses.podAddress(host);
      if (taken.has(address)) continue;
      this.#lastAddress = host;
      return address;
    }
    throw new Error(`${this.name} has no pod address left: ${count} pods run on it`);
  }

  #program(pod: Pod, container: ContainerSpec, podIp: string): Program {
    const { images, operations, addresses, paths, runFolder, mark, environment } = this.#parts;
    const image = images.get(repositoryName(container.image));
    if (image === undefined)
      throw new Error(
        `the image ${container.image} is not one that local-cluster maps to a program; it knows ${[...images.keys()].join(', ')}`,
      );
    const binaries = join(paths.disk, 'engine-binaries');
    const main = image.executables[image.main];
    if (image.kind === 'engine' && main !== undefined)
      return { program: 'present', place: () => placeEngine(main, binaries, container.image) };
    const node = {
      ...environment,
      LONGHORN_HOST_ROOT: '',
      LONGHORN_DATA_ROOT: paths.disk,
      LONGHORN_ENGINE_BINARIES_DIR: binaries,
      LONGHORN_RUN_DIR: runFolder,
      LONGHORN_LOGS_DIR: paths.instanceLogs,
      LONGHORN_BOOT_ID_FILE: paths.bootId,
      [NODE_MARK]: mark,
    };
    const place = { store: operations.store, podIp, hostIp: addresses.address, node };
    const known = containerEnvironment(place, pod, container);
    const folder = podFolder(runFolder, pod.uid);
    const secrets = this.#secrets?.mount(pod, join(folder, 'secrets')) ?? new Map<string, string>();
    for (const [name, value] of mountedVariables(known, container.mounts, secrets)) known.set(name, value);
    const words = (list: readonly string[]): string[] => list.map((word) => expand(word, known));
    const argv = commandLine(image, words(container.command), words(container.args));
    if (typeof argv === 'string') throw new Error(argv);
    return { program: 'process', argv, environment: known, folder };
  }

  /** The log of a container that runs here now. */
  logOf(uid: string, container: string): PodLogFile | null {
    return this.#workers.get(uid)?.log(container) ?? null;
  }

  /** Ends the chosen pods, as at an orderly shutdown; their objects stay. */
  async stopPods(chosen: (pod: KubeObject) => boolean, graceMs: number): Promise<void> {
    this.#stopping = true;
    const pods = this.#parts.operations.store.list(STORAGE.pods).filter((pod) => this.#isMine(pod) && chosen(pod));
    await Promise.all(pods.map(async (pod) => this.#workers.get(pod.metadata.uid)?.shutDown(graceMs)));
  }

  /** Ends the node's own work; its processes are somebody else's business. */
  close(): void {
    this.#stopping = true;
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#secrets?.close();
    this.#secrets = null;
    for (const worker of this.#workers.values()) worker.abandon();
    this.#workers.clear();
  }
}

/** Conditions of the present object keep the time since when they hold. */
function keptTransitions(current: KubeObject, wanted: KubeObject): JsonObject {
  const before = listAt(valueAt(current, 'status', 'conditions'));
  const conditions = listAt(valueAt(wanted, 'status', 'conditions')).map((entry) => {
    const same = before.find((other) => equal(valueAt(other, 'type'), valueAt(entry, 'type')));
    const since =
      valueAt(same, 'status') === valueAt(entry, 'status') ? valueAt(same, 'lastTransitionTime') : undefined;
    return since === undefined ? entry : { ...objectAt(entry), lastTransitionTime: since };
  });
  return { conditions };
}
