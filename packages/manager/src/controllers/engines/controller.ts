/**
 * Carries out the plan of an engine: its process through the instance manager of its node, its replicas through the
 * proxy, its status in the API. Only the manager that is responsible for the engine acts; it alone listens to it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Engine, InstanceManager } from '@longhorn/shared-types';
import { backoffMs, pause } from '../../clock.ts';
import { limits } from '../../limits.ts';
import { ENGINE_PORTS, binaryPath, engineProcessArguments } from '../../instance-client/process-arguments.ts';
import { engineTarget, type EngineTarget } from '../../instance-client/instance-managers.ts';
import { isConflict } from '../../datastore/kube-transport.ts';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import { done, earlier, type Outcome } from '../../reconcile/outcome.ts';
import { instanceManagerOf, nodeOf, responsible, settingsOf, type ControllerContext } from '../context.ts';
import { nodeIsDownOrDeleted } from '../ownership.ts';
import { cloneInto, cloneSourceOf, type CloneCall } from './clone-call.ts';
import { EngineMonitor } from './monitor.ts';
import { asMembership, compareGenerations, isMaterialGrowth, type Membership } from './observation.ts';
import { firstMembership, planEngine, type EngineAction, type EnginePlan } from './plan.ts';
import { addReplica, removeReplica, type ReplicaJob } from './replica-jobs.ts';
import { syncSnapshots } from './snapshot-sync.ts';

const COMPONENT = 'longhorn-engine-controller';
const QUICK = { timeoutMs: limits.proxyCallTimeoutMs };

/** What this manager remembers of an engine between passes; nothing that must survive it. */
interface Memory {
  monitor: EngineMonitor | null;
  /** Process that the monitor listens to. */
  uuid: string;
  job: ReplicaJob | null;
  starts: number;
  startedAtMs: number;
  epochSeen: number;
  strandedSinceMs: number | null;
  /** When the last process was seen to be gone although it was wanted; 0 = it was not. */
  endedAtMs: number;
  answering: boolean;
  /** The call that copies a snapshot into the engine's volume. */
  clone: CloneCall | null;
  cloneFailure: string | null;
  /** Replicas that are being taken out. */
  removing: Set<string>;
}

export class EngineController {
  readonly #context: ControllerContext;
  readonly #memories = new Map<string, Memory>();
  /** Set by the wiring: brings an engine's key up again. */
  enqueue: (name: string) => void = () => undefined;

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** Snapshots of the engine changed: look at once. */
  refresh(name: string): void {
    this.#memories.get(name)?.monitor?.refresh();
  }

  /** A purge of the engine's snapshots was started. */
  expectPurge(name: string): void {
    this.#memories.get(name)?.monitor?.expectPurge();
  }

  stop(): void {
    for (const name of this.#memories.keys()) this.#forget(name);
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me } = this.#context;
    const engine = datastore.stores.Engine.get(name);
    if (engine === null || !responsible(this.#context, engine.spec.nodeID, engine.status.ownerID)) {
      this.#forget(name);
      return done;
    }
    if (engine.status.ownerID !== me) {
      const mine = structuredClone(engine);
      mine.status.ownerID = me;
      await datastore.saveStatus('Engine', engine, mine);
      return { kind: 'waiting', untilMs: this.#context.clock.now() };
    }
    if (engine.metadata.deletionTimestamp !== null) return this.#delete(engine);
    return this.#run(engine);
  }

  async #run(engine: Engine): Promise<Outcome> {
    const { datastore, clock } = this.#context;
    const { name } = engine.metadata;
    const memory = this.#memory(name);
    cancelOutdated(engine, memory.job);
    const manager = instanceManagerOf(this.#context, engine);
    const observation =
      memory.uuid !== '' && memory.uuid === engine.status.uuid ? (memory.monitor?.observation ?? null) : null;
    if (observation !== null) memory.epochSeen = Math.max(memory.epochSeen, observation.volume.highestEpochSeen);
    if (memory.starts > 0 && clock.now() - memory.startedAtMs > limits.engineStableAfterMs) memory.starts = 0;
    const plan = planEngine({
      nowMs: clock.now(),
      engine,
      instanceManager: manager,
      nodeIsDown: nodeIsDownOrDeleted(nodeOf(this.#context, manager?.spec.nodeID ?? engine.spec.nodeID)),
      observation,
      adding: memory.job?.replica ?? '',
      restartAtMs: this.#restartAtMs(memory),
      replicasComing: this.#replicasComing(engine),
      waitsUntilMs: memory.endedAtMs + limits.engineWaitsForReplicasMs,
      strandedSinceMs: memory.strandedSinceMs,
      hasCloneSource: cloneSourceOf(this.#context, engine) !== null,
      cloning: memory.clone !== null,
      cloneFailure: memory.cloneFailure,
    });
    memory.cloneFailure = null;
    memory.monitor?.followClone(engine.spec.requestedDataSource !== '');
    this.#noteStranded(memory, plan);
    if (engine.status.started && !plan.engine.status.started) memory.endedAtMs = clock.now();
    let outcome: Outcome = plan.requeueAtMs === null ? done : { kind: 'waiting', untilMs: plan.requeueAtMs };
    const stored = await this.#store(engine, plan.engine);
    this.#listen(stored, memory);
    for (const action of plan.actions) {
      const result = await this.#act(stored, memory, action);
      outcome = earlier(outcome, result);
    }
    const present = datastore.stores.Engine.get(name) ?? stored;
    await syncSnapshots(this.#context, present);
    if (memory.strandedSinceMs !== null)
      outcome = earlier(outcome, { kind: 'waiting', untilMs: clock.now() + limits.progressPollMs });
    return outcome;
  }

  #memory(name: string): Memory {
    const present = this.#memories.get(name);
    if (present !== undefined) return present;
    const memory: Memory = {
      monitor: null,
      uuid: '',
      job: null,
      starts: 0,
      startedAtMs: 0,
      epochSeen: 0,
      strandedSinceMs: null,
      endedAtMs: 0,
      answering: false,
      clone: null,
      cloneFailure: null,
      removing: new Set(),
    };
    this.#memories.set(name, memory);
    return memory;
  }

  #replicasComing(engine: Engine): boolean {
    const { datastore } = this.#context;
    return datastore.stores.Replica.byIndex('volume', engine.spec.volumeName).some(
      (replica) =>
        replica.spec.engineName === engine.metadata.name &&
        replica.spec.desireState === 'running' &&
        replica.spec.failedAt === '' &&
        ['', 'stopped', 'starting'].includes(replica.status.currentState) &&
        instanceManagerOf(this.#context, replica)?.status.currentState === 'running',
    );
  }

  #restartAtMs({ starts, startedAtMs }: Memory): number {
    // The first restart is immediate; one that follows soon after waits.
    if (starts <= 1) return 0;
    return startedAtMs + backoffMs(limits.engineRestartDelayMinMs, limits.engineRestartDelayMaxMs, starts - 1);
  }

  #noteStranded(memory: Memory, { engine }: EnginePlan): void {
    const stranded = Object.entries(engine.status.replicaModeMap).some(
      ([name, mode]) => mode === 'WO' && name !== memory.job?.replica,
    );
    memory.strandedSinceMs = stranded ? (memory.strandedSinceMs ?? this.#context.clock.now()) : null;
  }

  async #store(base: Engine, wanted: Engine): Promise<Engine> {
    const { datastore } = this.#context;
    if (onlyHeadGrew(base, wanted) && !isMaterialGrowth(base, wanted)) {
      wanted.status.snapshots = base.status.snapshots;
    }
    return datastore.save('Engine', base, wanted);
  }

  #listen(engine: Engine, memory: Memory): void {
    const target = engineTarget(engine, instanceManagerOf(this.#context, engine));
    if (target === null) {
      memory.monitor?.stop();
      memory.monitor = null;
      memory.uuid = '';
      return;
    }
    if (
      memory.monitor !== null &&
      memory.uuid === engine.status.uuid &&
      memory.monitor.target.address === target.address
    )
      return;
    memory.monitor?.stop();
    memory.uuid = engine.status.uuid;
    const { managers, clock, log } = this.#context;
    memory.monitor = new EngineMonitor({
      managers,
      target,
      clock,
      log,
      onChange: () => this.enqueue(engine.metadata.name),
      onQuestion: () => void this.#answer(engine.metadata.name),
    });
  }

  #forget(name: string): void {
    const memory = this.#memories.get(name);
    if (memory === undefined) return;
    memory.monitor?.stop();
    memory.job?.cancel();
    memory.clone?.cancel();
    this.#memories.delete(name);
  }

  async #act(engine: Engine, memory: Memory, action: EngineAction): Promise<Outcome> {
    const { managers } = this.#context;
    const target = memory.monitor?.target ?? null;
    switch (action.kind) {
      case 'instance':
        return this.#actOnProcess(engine, memory, action);
      case 'raise-epoch':
        await this.#raiseEpoch(engine.metadata.name, action.above);
        return done;
      case 'remove-replica':
        if (target !== null) this.#startRemoval(engine, memory, target, action);
        return done;
      case 'add-replica':
        if (target !== null) this.#startJob(engine, memory, target, action);
        return done;
      case 'clone':
        if (target !== null) this.#startClone(engine, memory, target);
        return done;
      case 'expand':
        if (target !== null)
          await managers
            .proxy(target)
            .VolumeExpand({ ...managers.request(target), expand: { size: action.size } }, QUICK);
        return done;
      case 'set-unmap':
        if (target !== null)
          await managers.proxy(target).VolumeUnmapMarkSnapChainRemovedSet(
            {
              ...managers.request(target),
              unmap_mark_snap: { enabled: action.enabled },
            },
            QUICK,
          );
        return done;
      case 'set-snapshot-max-count':
        if (target !== null)
          await managers
            .proxy(target)
            .VolumeSnapshotMaxCountSet({ ...managers.request(target), count: { count: action.count } }, QUICK);
        return done;
      case 'set-snapshot-max-size':
        if (target !== null)
          await managers
            .proxy(target)
            .VolumeSnapshotMaxSizeSet({ ...managers.request(target), size: { size: action.size } }, QUICK);
        return done;
      default:
        return action satisfies never;
    }
  }

  /** Beside the passes: the replica's node may not answer. */
  #startRemoval(
    engine: Engine,
    memory: Memory,
    target: EngineTarget,
    action: { name: string; url: string; reason: string },
  ): void {
    if (memory.removing.has(action.url)) return;
    memory.removing.add(action.url);
    void removeReplica(this.#context, engine, target, action).finally(() => {
      memory.removing.delete(action.url);
      this.#context.clock.after(limits.progressPollMs, () => this.enqueue(engine.metadata.name));
    });
  }

  #startClone(engine: Engine, memory: Memory, target: EngineTarget): void {
    if (memory.clone !== null) return;
    memory.clone = cloneInto(this.#context, engine, target, (failure) => {
      memory.clone = null;
      memory.cloneFailure = memory.uuid === engine.status.uuid ? failure : null;
      memory.monitor?.refresh();
      this.enqueue(engine.metadata.name);
    });
  }

  #startJob(engine: Engine, memory: Memory, target: EngineTarget, action: { name: string; address: string }): void {
    if (memory.job !== null) return;
    memory.job = addReplica(
      this.#context,
      engine,
      target,
      action,
      () => {
        memory.job = null;
        memory.monitor?.refresh();
        this.enqueue(engine.metadata.name);
      },
      () => memory.monitor?.expectPurge(),
    );
  }

  async #actOnProcess(
    engine: Engine,
    memory: Memory,
    { action, uuid }: { action: { kind: string; keepDevice?: boolean }; uuid: string },
  ): Promise<Outcome> {
    const manager = instanceManagerOf(this.#context, engine);
    if (manager === null || manager.status.ip === '') return done;
    const { name } = engine.metadata;
    if (action.kind === 'create') {
      await this.#start(engine, memory, manager);
      return { kind: 'waiting', untilMs: this.#context.clock.now() + limits.progressPollMs };
    }
    if (action.kind !== 'delete') return done;
    const keepDevice = action.keepDevice === true;
    await this.#context.managers.delete(manager.status.ip, name, 'engine', { uuid, keepDevice });
    if (!keepDevice) {
      this.#context.events.record(COMPONENT, engine, { type: 'Normal', reason: 'Stop', message: `Stops ${name}` });
      await this.#context.datastore.update('Engine', name, (present) => {
        if (present.spec.desireState === 'running' || !present.status.starting) return null;
        present.status.starting = false;
        return present;
      });
    }
    return done;
  }

  /**
   * Start, in this order: is there a process already? The epoch is raised and stored. What the start rests on (the
   * record, the replicas) is stored with it. Only then the process is created. A crash in between costs an epoch.
   */
  async #start(engine: Engine, memory: Memory, manager: InstanceManager): Promise<void> {
    const { datastore, managers, environment, clock, events } = this.#context;
    const { name } = engine.metadata;
    const { ip } = manager.status;
    if ((await managers.get(ip, name, 'engine')) !== null) return;
    const settings = settingsOf(this.#context);
    const raised = structuredClone(engine);
    const known = engine.status.membership?.epoch ?? 0;
    raised.spec.epoch = Math.max(engine.spec.epoch, engine.status.currentEpoch, known, memory.epochSeen) + 1;
    delete raised.metadata.annotations[OWN_ANNOTATION.unconfirmedStop];
    const stored = await datastore.saveMain('Engine', engine, raised);
    const starting = structuredClone(stored);
    starting.status.starting = true;
    // With it: whoever has to end the process, or to know what an instance manager still runs, finds it by this.
    starting.status.instanceManagerName = manager.metadata.name;
    starting.status.currentReplicaAddressMap = { ...stored.spec.replicaAddressMap };
    starting.status.membership ??= firstMembership(datastore.stores.Replica.byIndex('volume', stored.spec.volumeName));
    const ready = await datastore.saveStatus('Engine', stored, starting);
    memory.starts += 1;
    memory.startedAtMs = clock.now();
    try {
      await managers.create(ip, {
        name,
        type: 'engine',
        volumeName: ready.spec.volumeName,
        binary: binaryPath(environment, ready.spec.image),
        args: engineProcessArguments(ready, {
          engineReplicaTimeoutS: settings.get('engine-replica-timeout'),
          fileSyncTimeoutS: settings.get('replica-file-sync-http-client-timeout'),
          ioHoldTimeoutS: settings.get('io-hold-timeout'),
          blockdevDriver: settings.get('blockdev-driver'),
          iscsiAuthentication: settings.get('iscsi-authentication'),
        }),
        ports: ENGINE_PORTS,
      });
      events.record(COMPONENT, ready, { type: 'Normal', reason: 'Start', message: `Starts ${name}` });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      events.record(COMPONENT, ready, {
        type: 'Warning',
        reason: 'FailedStarting',
        message: `Error starting ${name}: ${text}`,
      });
      throw error;
    }
  }

  async #raiseEpoch(name: string, above: number): Promise<void> {
    await this.#context.datastore.update('Engine', name, (present) => {
      if (present.spec.epoch >= above) return null;
      present.spec.epoch = above;
      return present;
    });
  }

  /**
   * The engine asks whether it may go on with a membership that holds half or fewer of the one before; I/O waits for the
   * answer, so this does not go through the queue. Tried until the answer is delivered or the question is gone.
   */
  async #answer(name: string): Promise<void> {
    const memory = this.#memories.get(name);
    if (memory === undefined || memory.answering) return;
    memory.answering = true;
    const { log, clock } = this.#context;
    for (let attempt = 0; attempt < limits.answerTriesMax; attempt += 1) {
      const monitor = memory.monitor;
      const volume = monitor?.observation?.volume ?? null;
      if (monitor === null || volume === null || volume.membershipRequest === null) break;
      const asked = asMembership(volume.membershipRequest);
      try {
        await this.#confirm(name, monitor.target, asked, volume.epoch);
        // Meanwhile it may have withdrawn that question and asked another one.
        const next = memory.monitor?.observation?.volume.membershipRequest ?? null;
        if (next === null || compareGenerations(next, asked) === 0) break;
      } catch (error) {
        const level = isConflict(error) ? 'debug' : 'warn';
        log[level]({ engine: name, err: error, attempt }, 'question of an engine not answered yet');
        await pause(clock, limits.answerRetryMs, new AbortController().signal);
      }
    }
    memory.answering = false;
  }

  /** Yes only if the epoch is the current one, and only after the record is stored; guarded by the version that was read. */
  async #confirm(name: string, target: EngineTarget, record: Membership, epoch: number): Promise<void> {
    const { datastore, managers, log } = this.#context;
    const fresh = await datastore.read('Engine', name);
    let reason = '';
    if (fresh === null) reason = 'the engine is not known any more';
    else if (fresh.spec.epoch !== epoch) reason = `epoch ${epoch} is not the current one, ${fresh.spec.epoch} is`;
    else if (fresh.status.membership !== null && compareGenerations(fresh.status.membership, record) > 0)
      reason = `a newer record, ${fresh.status.membership.epoch}.${fresh.status.membership.count}, is stored`;
    else {
      const wanted = structuredClone(fresh);
      wanted.status.membership = record;
      await datastore.saveStatus('Engine', fresh, wanted);
    }
    const confirmed = reason === '';
    log.info({ engine: name, record, confirmed, reason }, 'answering the question of an engine about its membership');
    await managers.proxy(target).MembershipConfirm(
      {
        ...managers.request(target),
        confirm: { epoch: record.epoch, count: record.count, confirmed, reason },
      },
      { timeoutMs: limits.proxyCallTimeoutMs },
    );
  }

  async #delete(engine: Engine): Promise<Outcome> {
    const { datastore, managers, clock, events } = this.#context;
    const { name } = engine.metadata;
    this.#forget(name);
    const manager = instanceManagerOf(this.#context, engine);
    const down = nodeIsDownOrDeleted(nodeOf(this.#context, manager?.spec.nodeID ?? engine.spec.nodeID));
    if (manager !== null && manager.status.currentState === 'running' && !down) {
      const running = await managers.get(manager.status.ip, name, 'engine');
      if (running !== null) {
        if (running.status?.state !== 'stopping') {
          await managers.delete(manager.status.ip, name, 'engine', { uuid: '', keepDevice: false });
          events.record(COMPONENT, engine, { type: 'Normal', reason: 'Stop', message: `Stops ${name}` });
        }
        return { kind: 'waiting', untilMs: clock.now() + 300 };
      }
    }
    await datastore.removeFinalizer('Engine', engine);
    return done;
  }
}

/** What may never be answered: the replica is not wanted there any more, or the engine's process is another one; a host may be gone. */
function cancelOutdated(engine: Engine, job: ReplicaJob | null): void {
  if (job === null) return;
  const { uuid } = engine.status;
  const isAnother = uuid !== '' && uuid !== job.engineUuid;
  if (isAnother || engine.spec.replicaAddressMap[job.replica] !== job.address) job.cancel();
}

function onlyHeadGrew(base: Engine, wanted: Engine): boolean {
  const withoutHead = ({ status }: Engine): object => {
    const { 'volume-head': head, ...rest } = status.snapshots;
    return { ...status, snapshots: { ...rest, 'volume-head': head === undefined ? null : { ...head, size: '' } } };
  };
  return (
    base.status.snapshots['volume-head'] !== undefined && isDeepStrictEqual(withoutHead(base), withoutHead(wanted))
  );
}
