/**
 * One pod on its node, from its start to the removal of its object.
 */
import { join } from 'node:path';
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { timestamp, type After } from '../api/environment.ts';
import { equal, listAt, objectAt, stringAt, valueAt, type Json, type JsonObject } from '../api/json.ts';
import type { KubeObject } from '../api/object.ts';
import { plainDelete, type Operations } from '../api/operations.ts';
import { ApiError } from '../api/status-error.ts';
import { Container, type Program } from './container.ts';
import type { ContainerSpec, Pod } from './pod.ts';
import { PodLogFile, podLogPath } from './pod-log.ts';
import type { Processes } from './processes.ts';

const POD = builtinType(STORAGE.pods);

export interface PodParts {
  operations: Operations;
  processes: Processes;
  after: After;
  podLogs: string;
  podIp: string;
  hostIp: string;
  program: (pod: Pod, container: ContainerSpec) => Program;
  /** something that needs nobody's attention but may explain a surprise */
  note: (text: string, error?: unknown) => void;
}

type Phase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

export class PodWorker {
  readonly #pod: Pod;
  readonly #parts: PodParts;
  readonly #init: Container[];
  readonly #containers: Container[];
  readonly #logs = new Map<string, PodLogFile>();
  readonly #startTime: string;
  #stopping: Promise<void> | null = null;
  #silent = false;
  #publishing: Promise<void> | null = null;
  #dirty = false;
  #initialized = false;
  #initFinished: () => void = () => undefined;

  constructor(pod: Pod, parts: PodParts) {
    this.#pod = pod;
    this.#parts = parts;
    this.#startTime =
      stringAt(valueAt(pod.object, 'status', 'startTime')) || timestamp(parts.operations.environment.now());
    const known = listAt(valueAt(pod.object, 'status', 'containerStatuses'));
    this.#init = pod.initContainers.map((spec) => this.#container(spec, true, 0));
    this.#containers = pod.containers.map((spec) => this.#container(spec, false, restartsSoFar(known, spec.name)));
  }

  get uid(): string {
    return this.#pod.uid;
  }

  get podIp(): string {
    return this.#parts.podIp;
  }

  #container(spec: ContainerSpec, init: boolean, restartCount: number): Container {
    const { operations, processes, after, podIp, podLogs } = this.#parts;
    const path = podLogPath(podLogs, this.#pod.namespace, this.#pod.name, this.#pod.uid, spec.name);
    const log = new PodLogFile(path, () => operations.environment.now());
    this.#logs.set(spec.name, log);
    const policy = this.#pod.restartPolicy;
    return new Container(
      {
        spec,
        podUid: this.#pod.uid,
        podIp,
        log,
        processes,
        now: () => operations.environment.now(),
        after,
        program: () => this.#parts.program(this.#pod, spec),
        restarts: (exitCode) => (policy === 'Always' && !init) || (policy !== 'Never' && exitCode !== 0),
        changed: () => this.#changed(),
      },
      restartCount,
    );
  }

  log(container: string): PodLogFile | null {
    return this.#logs.get(container) ?? null;
  }

  /** Runs the pod; returns when its containers are started. */
  async run(): Promise<void> {
    for (const container of this.#init) {
      await container.start();
      await this.#finished(container);
      if (container.state.state !== 'terminated' || container.state.exitCode !== 0) return;
    }
    this.#initialized = true;
    await Promise.all(this.#containers.map((container) => container.start()));
    this.#changed();
  }

  async #finished(container: Container): Promise<void> {
    while (!container.finished && this.#stopping === null && !this.#silent)
      await new Promise<void>((resolve) => {
        this.#initFinished = resolve;
      });
  }

  #phase(): Phase {
    const all = [...this.#init, ...this.#containers];
    const failed = all.some(
      (container) => container.finished && container.state.state === 'terminated' && container.state.exitCode !== 0,
    );
    if (failed && (!this.#initialized || this.#containers.every((container) => container.finished))) return 'Failed';
    if (this.#containers.every((container) => container.finished)) return 'Succeeded';
    const started = this.#containers.some((container) => container.state.state !== 'waiting');
    return started ? 'Running' : 'Pending';
  }

  #status(current: KubeObject): JsonObject {
    const known = objectAt(current['status']);
    const ready = this.#containers.length > 0 && this.#containers.every((container) => container.ready);
    const now = timestamp(this.#parts.operations.environment.now());
    const condition = (type: string, value: boolean): JsonObject => {
      const before = listAt(known['conditions']).find((entry) => valueAt(entry, 'type') === type);
      const status = value ? 'True' : 'False';
      const since = valueAt(before, 'status') === status ? valueAt(before, 'lastTransitionTime') : undefined;
      return { type, status, lastProbeTime: null, lastTransitionTime: since ?? now };
    };
    const { reason: _r, message: _m, ...rest } = known;
    return {
      ...rest,
      phase: this.#phase(),
      hostIP: this.#parts.hostIp,
      podIP: this.#parts.podIp,
      podIPs: [{ ip: this.#parts.podIp }],
      startTime: this.#startTime,
      conditions: [
        condition('PodScheduled', true),
        condition('Initialized', this.#initialized),
        condition('ContainersReady', ready),
        condition('Ready', ready),
      ],
      ...(this.#init.length === 0 ? {} : { initContainerStatuses: this.#init.map((container) => container.status()) }),
      containerStatuses: this.#containers.map((container) => container.status()),
    };
  }

  #changed(): void {
    this.#initFinished();
    this.#dirty = true;
    if (this.#silent) return;
    this.#publishing ??= Promise.resolve().then(() => this.#publish());
  }

  /** Writes the status until nothing has changed since; a pod whose object is gone is none of its business. */
  async #publish(): Promise<void> {
    const { operations } = this.#parts;
    while (this.#dirty && !this.#silent) {
      this.#dirty = false;
      try {
        await operations.update(POD, this.#pod.namespace, this.#pod.name, 'status', (current) => {
          if (current.metadata.uid !== this.#pod.uid) throw new ApiError(404, 'NotFound', 'another pod has the name');
          const status = this.#status(current);
          return equal(status, current['status']) ? current : { ...current, status };
        });
      } catch (error) {
        if (!(error instanceof ApiError && error.code === 404))
          this.#parts.note(`status of pod ${this.#pod.name} was not written`, error);
      }
    }
    this.#publishing = null;
  }

  /** Ends all containers. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping ??= (async () => {
      this.#initFinished();
      await Promise.all([...this.#init, ...this.#containers].map((container) => container.stop(graceMs)));
      await this.#publishing;
      for (const log of this.#logs.values()) log.close();
    })();
    await this.#stopping;
  }

  /** Ends all containers without a word about it: the next start of the node finds the pod as it was. */
  async shutDown(graceMs: number): Promise<void> {
    this.#silent = true;
    await this.stop(graceMs);
  }

  /** Ends the pod because its object is to go, then removes the object. */
  async terminate(graceMs: number): Promise<void> {
    await this.stop(graceMs);
    await removeObject(this.#parts.operations, this.#pod.object);
  }

  /** Its node has lost power: nothing more is done or told. */
  abandon(): void {
    this.#silent = true;
    this.#initFinished();
    for (const container of [...this.#init, ...this.#containers]) container.abandon();
    for (const log of this.#logs.values()) log.close();
  }
}

function restartsSoFar(statuses: Json[], name: string): number {
  const known = statuses.find((status) => valueAt(status, 'name') === name);
  const count = valueAt(known, 'restartCount');
  const ran = valueAt(known, 'state', 'running') !== undefined || valueAt(known, 'state', 'terminated') !== undefined;
  return typeof count === 'number' ? count + (ran ? 1 : 0) : 0;
}

/** Removes a pod's object for good, if it still is this pod's. */
export async function removeObject(operations: Operations, object: KubeObject): Promise<void> {
  const { name, namespace = '', uid } = object.metadata;
  try {
    await operations.remove(POD, namespace, name, { ...plainDelete, uid, gracePeriodSeconds: 0 });
  } catch (error) {
    if (!(error instanceof ApiError && (error.code === 404 || error.code === 409))) throw error;
  }
}

/** Folder in which a pod's processes run. */
export const podFolder = (runFolder: string, uid: string): string => join(runFolder, 'pods', uid);
