/** The pod of an instance manager and the list of its processes. The manager on its node makes the pod. */
import { isDeepStrictEqual } from 'node:util';
import type { Engine, InstanceManager } from '@longhorn/shared-types';
import { backoffMs } from '../../clock.ts';
import { CORE_RESOURCES } from '../../datastore/core-kinds.ts';
import { isAlreadyExists, isNotFound } from '../../datastore/kube-transport.ts';
import { limits } from '../../limits.ts';
import type { InstanceResponse } from '../../instance-client/instance-managers.ts';
import { done, earlier, type Outcome } from '../../reconcile/outcome.ts';
import { nodeOf, responsible, settingsOf, type ControllerContext } from '../context.ts';
import { nodeIsDownOrDeleted } from '../ownership.ts';
import { isLeftOver, type EngineProcess } from './leftovers.ts';
import { InstanceManagerMonitor } from './monitor.ts';
import { planInstanceManager } from './plan.ts';
import { cpuRequestMilli, instanceManagerPod } from './pod.ts';

interface Memory {
  monitor: InstanceManagerMonitor | null;
  podsMade: number;
  podMadeAtMs: number;
  /** Since when an engine process is left over, by UUID. */
  leftSinceMs: ReadonlyMap<string, number>;
}

type Processes = InstanceManager['status']['instanceEngines'];

export class InstanceManagerController {
  readonly #context: ControllerContext;
  readonly #memories = new Map<string, Memory>();
  /** Set by the wiring. */
  enqueue: (name: string) => void = () => undefined;

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  stop(): void {
    for (const name of this.#memories.keys()) this.#forget(name);
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me, clock } = this.#context;
    const manager = datastore.stores.InstanceManager.get(name);
    if (manager === null || !responsible(this.#context, manager.spec.nodeID, manager.status.ownerID)) {
      this.#forget(name);
      return done;
    }
    const memory = this.#memory(name);
    const nodeIsDown = nodeIsDownOrDeleted(nodeOf(this.#context, manager.spec.nodeID));
    if (memory.podsMade > 0 && clock.now() - memory.podMadeAtMs > limits.podRecreateDelayMaxMs) memory.podsMade = 0;
    const plan = planInstanceManager({
      manager,
      pod: datastore.pods.get(name),
      nodeIsDown,
      isOnNode: manager.spec.nodeID === me,
      cordoned: datastore.kubeNodes.get(manager.spec.nodeID)?.unschedulable ?? false,
      createAtMs:
        memory.podsMade === 0
          ? 0
          : memory.podMadeAtMs + backoffMs(limits.podRecreateDelayMinMs, limits.podRecreateDelayMaxMs, memory.podsMade),
      nowMs: clock.now(),
    });
    plan.status.ownerID = me;
    this.#listen(name, plan.status, memory);
    const processes = memory.monitor?.processes ?? null;
    if (processes !== null && plan.status.currentState === 'running') fillProcesses(plan.status, processes);
    if (plan.status.currentState === 'running' && plan.status.apiVersion === 0)
      plan.requeueAtMs = await this.#greet(plan.status);
    const stored = await datastore.saveStatus('InstanceManager', manager, { ...manager, status: plan.status });
    if (plan.action === 'delete-pod') await this.#deletePod(name);
    if (plan.action === 'create-pod') await this.#createPod(manager, memory);
    const outcome: Outcome = plan.requeueAtMs === null ? done : { kind: 'waiting', untilMs: plan.requeueAtMs };
    return earlier(outcome, await this.#endLeftOver(stored, memory));
  }

  #memory(name: string): Memory {
    const present = this.#memories.get(name);
    if (present !== undefined) return present;
    const memory: Memory = { monitor: null, podsMade: 0, podMadeAtMs: 0, leftSinceMs: new Map() };
    this.#memories.set(name, memory);
    return memory;
  }

  #forget(name: string): void {
    this.#memories.get(name)?.monitor?.stop();
    this.#memories.delete(name);
  }

  #listen(name: string, { currentState, ip }: InstanceManager['status'], memory: Memory): void {
    if (currentState === 'unknown') return;
    if (currentState !== 'running' || ip === '') {
      memory.monitor?.stop();
      memory.monitor = null;
      return;
    }
    if (memory.monitor?.ip === ip) return;
    memory.monitor?.stop();
    const { managers, clock, log } = this.#context;
    memory.monitor = new InstanceManagerMonitor({ managers, ip, clock, log, onChange: () => this.enqueue(name) });
  }

  /** A pod may be ready before its services are: it runs once they answer. Returns when to ask again. */
  async #greet(status: InstanceManager['status']): Promise<number | null> {
    const { managers, clock, log } = this.#context;
    try {
      const version = await managers.version(status.ip);
      Object.assign(status, {
        apiVersion: version.instanceManagerAPIVersion,
        apiMinVersion: version.instanceManagerAPIMinVersion,
        proxyApiVersion: version.instanceManagerProxyAPIVersion,
        proxyApiMinVersion: version.instanceManagerProxyAPIMinVersion,
      });
      return null;
    } catch (error) {
      log.debug({ ip: status.ip, err: error }, 'instance manager does not answer yet');
      status.currentState = 'starting';
      status.ip = '';
      return clock.now() + limits.streamRetryMinMs;
    }
  }

  /** Ends engine processes that were left behind, once they have been for a while. */
  async #endLeftOver(manager: InstanceManager, memory: Memory): Promise<Outcome> {
    const { datastore, managers, clock, log } = this.#context;
    const { currentState, ip, instanceEngines } = manager.status;
    const processes =
      currentState === 'running' && memory.monitor !== null
        ? Object.entries(instanceEngines).map(([name, { status }]) => ({ name, uuid: status.uuid, manager }))
        : [];
    const { stores } = datastore;
    const left = processes.filter((process) => this.#isLeftOver(process, stores.Engine.get(process.name)));
    const before = memory.leftSinceMs;
    memory.leftSinceMs = new Map(left.map(({ uuid }) => [uuid, before.get(uuid) ?? clock.now()]));
    for (const process of left) {
      const { name, uuid } = process;
      const sinceMs = memory.leftSinceMs.get(uuid) ?? clock.now();
      if (clock.now() - sinceMs < limits.leftoverGraceMs) continue;
      // Not from a cache: it must not be one that serves by now.
      if (!this.#isLeftOver(process, await datastore.read('Engine', name))) continue;
      log.warn({ instanceManager: manager.metadata.name, engine: name, uuid }, 'ending an engine process left behind');
      await managers.delete(ip, name, 'engine', { uuid, keepDevice: false });
    }
    return left.length === 0 ? done : { kind: 'waiting', untilMs: clock.now() + limits.leftoverLookMs };
  }

  #isLeftOver(process: EngineProcess, engine: Engine | null): boolean {
    const { stores } = this.#context.datastore;
    const volume = engine?.spec.volumeName ?? process.name.replace(/-e-[^-]*$/, '');
    return isLeftOver(process, {
      engine,
      siblings: stores.Engine.byIndex('volume', volume),
      volume: stores.Volume.get(volume),
      named: stores.InstanceManager.get(engine?.status.instanceManagerName ?? ''),
    });
  }

  async #deletePod(name: string): Promise<void> {
    const { datastore } = this.#context;
    try {
      await datastore.transport.delete(CORE_RESOURCES.pods, datastore.namespace, name, {});
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #createPod(manager: InstanceManager, memory: Memory): Promise<void> {
    const { datastore, clock, log } = this.#context;
    const settings = settingsOf(this.#context);
    const { nodeID } = manager.spec;
    const cpu = cpuRequestMilli(nodeOf(this.#context, nodeID), datastore.kubeNodes.get(nodeID), settings);
    memory.podsMade += 1;
    memory.podMadeAtMs = clock.now();
    try {
      await datastore.transport.create(
        CORE_RESOURCES.pods,
        datastore.namespace,
        instanceManagerPod(this.#context, manager, settings, cpu),
      );
      log.info({ instanceManager: manager.metadata.name }, 'made the pod of the instance manager');
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
}

/** Objects that did not change keep their identity, so that nothing is written for them. */
function fillProcesses(status: InstanceManager['status'], processes: Record<string, InstanceResponse>): void {
  const engines: Processes = {};
  const replicas: Processes = {};
  for (const [name, response] of Object.entries(processes).toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const isEngine =
      (response.spec?.type ?? '') === 'engine' || (response.spec?.type === '' && /.+?-e-[^-]*$/.test(name));
    (isEngine ? engines : replicas)[name] = processOf(name, response, isEngine ? 'engine' : 'replica');
  }
  if (!isDeepStrictEqual(status.instanceEngines, engines)) status.instanceEngines = engines;
  if (!isDeepStrictEqual(status.instanceReplicas, replicas)) status.instanceReplicas = replicas;
}

function processOf(name: string, { status }: InstanceResponse, type: 'engine' | 'replica'): Processes[string] {
  return {
    spec: { dataEngine: 'v1', name },
    status: {
      conditions: { ...status?.conditions },
      endpoint: '',
      errorMsg: status?.error_msg ?? '',
      listen: '',
      portStart: status?.port_start ?? 0,
      portEnd: status?.port_end ?? 0,
      resourceVersion: 0,
      state: asProcessState(status?.state ?? ''),
      targetPortStart: status?.target_port_start ?? 0,
      targetPortEnd: status?.target_port_end ?? 0,
      type,
      ublkID: 0,
      uuid: status?.uuid ?? '',
    },
  };
}

function asProcessState(state: string): Processes[string]['status']['state'] {
  switch (state) {
    case 'running':
    case 'starting':
    case 'stopping':
    case 'stopped':
      return state;
    default:
      return 'error';
  }
}
