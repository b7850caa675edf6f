/**
 * The registry of this node's engine and replica processes.
 *
 * Names are unique; a process stays registered, with its ports, until it is deleted. Every change is told to all
 * watchers at once. Nothing is kept on disk: the processes die with this one.
 */
import { Code, errorText, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { LOG_FILES_MAX, PROCESSES_MAX, SHUTDOWN_ENGINES_MS, WATCH_QUEUE_MAX } from '../limits.ts';
import { Broadcast } from './broadcast.ts';
import { DeviceGuard, type EngineEnd } from './device-guard.ts';
import { ManagedProcess, type ProcessHost, type ProcessSnapshot } from './managed-process.ts';
import { PortAllocator, type PortRange } from './port-allocator.ts';
import { logLines, ProcessLog, pruneLogs } from './process-log.ts';
import { portArguments, validateSpec, type ProcessSpec } from './process-spec.ts';

export interface ProcessUpdate extends ProcessSnapshot {
  readonly deleted: boolean;
}

export interface ManagerOptions extends ProcessHost {
  readonly logsFolder: string;
  readonly ports: PortRange;
  /** folders below which binaries may be */
  readonly binaryFolders: readonly string[];
  cleanUpDevice(binary: string, volume: string): Promise<void>;
  /** Whether the node's run folder still records a device of the volume. */
  hasDevice(volume: string): boolean;
  /** A replica's process has ended, in whatever way. */
  replicaEnded(name: string): void;
  readonly logger: { info(text: string): void; error(text: string): void };
}

interface Deletion {
  keepDevice: boolean;
}

export class ProcessManager {
  readonly guard: DeviceGuard;
  private readonly options: ManagerOptions;
  private readonly ports: PortAllocator;
  private readonly processes = new Map<string, ManagedProcess>();
  private readonly deletions = new Map<string, Deletion>();
  private readonly broadcast = new Broadcast<ProcessUpdate>(WATCH_QUEUE_MAX);
  private closing = false;

  constructor(options: ManagerOptions) {
    this.options = options;
    this.ports = new PortAllocator(options.ports);
    this.guard = new DeviceGuard({
      cleanUp: (binary, volume) => options.cleanUpDevice(binary, volume),
      hasLiveEngine: (volume) => this.hasLiveEngine(volume),
      logger: options.logger,
    });
  }

  private hasLiveEngine(volume: string): boolean {
    for (const process of this.processes.values()) {
      if (process.device?.volume === volume && !process.hasEnded) return true;
    }
    return false;
  }

  /** All processes, by name. */
  list(): ManagedProcess[] {
    return [...this.processes.values()];
  }

  /** Throws NotFound for an unknown name. */
  get(name: string): ManagedProcess {
    const process = this.processes.get(name);
    if (!process) throw rpcError(Code.NotFound, `cannot find process ${name}`);
    return process;
  }

  /** Updates from now on. */
  watch(signal: AbortSignal): AsyncIterable<ProcessUpdate> {
    return this.broadcast.watch(signal);
  }

  /** Log of a registered process. */
  log(name: string): AsyncIterable<string> {
    this.get(name);
    return logLines(this.options.logsFolder, name);
  }

  /** Registers and starts a process; a binary that cannot be started ends in state `error`, not in a failure. */
  create(spec: ProcessSpec): ManagedProcess {
    this.admit(spec);
    if (this.processes.has(spec.name)) throw rpcError(Code.AlreadyExists, `process ${spec.name} already exists`);
    const process = this.prepare(spec);
    this.processes.set(spec.name, process);
    this.tell(process);
    void this.start(process);
    return process;
  }

  private admit(spec: ProcessSpec): void {
    if (this.closing) throw rpcError(Code.Unavailable, 'the instance manager is shutting down');
    validateSpec(spec, this.options.binaryFolders);
    if (this.processes.size >= PROCESSES_MAX) {
      throw rpcError(Code.ResourceExhausted, `there are already ${PROCESSES_MAX} processes`);
    }
  }

  /** Ports, arguments and log of a new process. Ports belong to its uuid. */
  private prepare(spec: ProcessSpec): ManagedProcess {
    const { logsFolder } = this.options;
    pruneLogs(logsFolder, new Set([...this.processes.keys(), spec.name]), LOG_FILES_MAX);
    const owner = Symbol(spec.name);
    const ports = spec.portCount > 0 ? this.allocate(owner, spec) : null;
    try {
      const args = ports ? [...spec.args, ...portArguments(spec.portArgs, ports.start)] : [...spec.args];
      const log = new ProcessLog(logsFolder, spec.name);
      const process = new ManagedProcess(this.options, spec, args, ports, log, (changed) => this.changed(changed));
      this.owners.set(process, owner);
      return process;
    } catch (error) {
      this.ports.release(owner);
      throw error;
    }
  }

  private readonly owners = new WeakMap<ManagedProcess, symbol>();

  private allocate(owner: symbol, spec: ProcessSpec): PortRange {
    try {
      return this.ports.allocate(owner, spec.portCount);
    } catch (cause) {
      const text = `cannot allocate ${spec.portCount} ports for ${spec.name}: ${errorText(cause)}`;
      throw new Error(text, { cause });
    }
  }

  private releasePorts(process: ManagedProcess): void {
    const owner = this.owners.get(process);
    if (owner) this.ports.release(owner);
  }

  private async start(process: ManagedProcess): Promise<void> {
    if (process.device) await this.guard.idle(process.device.volume);
    process.start();
  }

  private changed(process: ManagedProcess): void {
    const { device } = process;
    if (device && process.state === 'running') this.guard.engineRuns(device);
    // A replaced engine's device is its successor's: only a registered engine leaves one.
    if (device && process.hasEnded && this.isRegistered(process)) this.guard.engineEnded(device, this.endOf(process));
    if (process.kind === 'replica' && process.hasEnded && this.isRegistered(process)) {
      this.options.replicaEnded(process.spec.name);
    }
    this.tell(process);
  }

  /** What an engine's end says about its device. */
  private endOf(process: ManagedProcess): EngineEnd {
    if (process.pid === 0 || !process.device) return 'untouched';
    if (process.state === 'error') return 'dead';
    // An engine that waited for replicas may end in order without having taken over what the one before left.
    return process.wasRunning && !this.options.hasDevice(process.device.volume) ? 'removed' : 'untouched';
  }

  private isRegistered(process: ManagedProcess): boolean {
    return this.processes.get(process.spec.name) === process;
  }

  private tell(process: ManagedProcess, deleted = false): void {
    this.broadcast.send({ ...process.snapshot(), deleted });
  }

  /**
   * Stops and unregisters a process; answers at once. `uuid` "" = any. `keepDevice`: an engine's block device stays for
   * a successor, so a running engine is ended by SIGHUP, which it does not handle.
   */
  delete(name: string, uuid: string, keepDevice: boolean): ManagedProcess {
    const process = this.get(name);
    if (uuid !== '' && uuid !== process.uuid) {
      throw rpcError(Code.NotFound, `cannot find process ${name} with UUID ${uuid}`);
    }
    const running = this.deletions.get(process.uuid);
    if (running) {
      running.keepDevice = keepDevice;
      process.stop('SIGINT');
      return process;
    }
    const deletion: Deletion = { keepDevice };
    this.deletions.set(process.uuid, deletion);
    process.stop(keepDevice && process.device ? 'SIGHUP' : 'SIGINT');
    void this.finishDelete(process, deletion);
    return process;
  }

  private async finishDelete(process: ManagedProcess, deletion: Deletion): Promise<void> {
    await process.ended();
    // Before the name is free: a new engine of the volume must not meet the clean-up of the old one.
    const { device } = process;
    if (device && !deletion.keepDevice && this.isRegistered(process) && !this.hasLiveEngine(device.volume)) {
      if (this.endOf(process) === 'dead' || this.guard.isLeft(device.volume) || this.options.hasDevice(device.volume)) {
        await this.guard.remove(device);
      }
    }
    this.deletions.delete(process.uuid);
    this.unregister(process);
  }

  private unregister(process: ManagedProcess): void {
    if (this.isRegistered(process)) this.processes.delete(process.spec.name);
    this.releasePorts(process);
    this.tell(process, true);
  }

  /**
   * Starts `spec` beside the registered process of that name and, once it runs, ends the old one by SIGHUP, which leaves
   * the device to the new one. On any failure the old one goes on.
   */
  async replace(spec: ProcessSpec, terminateSignal: string): Promise<ManagedProcess> {
    this.admit(spec);
    if (terminateSignal !== 'SIGHUP') {
      throw rpcError(Code.InvalidArgument, `doesn't support terminate signal ${terminateSignal}`);
    }
    const old = this.processes.get(spec.name);
    if (!old) throw rpcError(Code.NotFound, `existing process ${spec.name} doesn't exists`);
    if (old.spec.binary === spec.binary) return old;
    const next = this.prepare(spec);
    await this.start(next);
    if (next.hasEnded) {
      this.releasePorts(next);
      throw new Error(`failed to init replacement process ${spec.name}`);
    }
    await withinMs(this.options.limits.replaceWaitMs, next.started());
    if (next.state !== 'running')
      await this.abandon(next, new Error(`failed to start replacement process ${spec.name}`));
    const registered = this.processes.get(spec.name);
    if (registered && registered !== old) {
      const text = `process ${spec.name} to replace has changed in the meantime`;
      await this.abandon(next, rpcError(Code.AlreadyExists, text));
    }
    this.processes.set(spec.name, next);
    old.stop('SIGHUP');
    void this.dropReplaced(old);
    this.tell(next);
    return next;
  }

  /** The old process's ports are free only once it is gone. */
  private async dropReplaced(old: ManagedProcess): Promise<void> {
    await old.ended();
    this.releasePorts(old);
  }

  private async abandon(process: ManagedProcess, error: Error): Promise<never> {
    process.stop('SIGHUP');
    const release = async (): Promise<void> => {
      await process.ended();
      this.releasePorts(process);
    };
    void release();
    throw error;
  }

  /** Ends all: engines first, so that they can flush to replicas and remove their devices, then replicas. */
  async shutdown(): Promise<void> {
    this.closing = true;
    const all = this.list();
    const engines = all.filter(({ kind }) => kind === 'engine');
    for (const { spec } of engines) this.delete(spec.name, '', false);
    await withinMs(SHUTDOWN_ENGINES_MS, Promise.all(engines.map((process) => process.ended())));
    for (const { spec } of this.list()) this.delete(spec.name, '', false);
    await withinMs(this.options.limits.stopGraceMs, Promise.all(all.map((process) => process.ended())));
    this.guard.close();
    this.broadcast.close();
  }
}

async function withinMs(timeMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, timeMs);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
