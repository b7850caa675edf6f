/**
 * One volume as processes of this machine: an engine that serves its device, its replicas, and what a control plane does for
 * them: it gives out epochs, keeps the membership record and answers the engine's questions. For tests and benchmarks of
 * the built executable.
 *
 * Every host (a loopback address) has a run directory of its own, so only replicas on the engine's host are reached over their
 * unix sockets; the others over TCP, as on other nodes.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import {
  ControllerService,
  ReplicaMode,
  type ControllerServiceMethods,
  type MembershipRecord,
  type Volume,
} from '@longhorn/shared-types/generated/ptypes';
import { isListening } from './listening.ts';
import { engineArguments, engineNameOf, replicaArguments, type Known, type Served } from './volume-arguments.ts';
import { waitFor } from './wait.ts';

export const PROGRAM = resolve(import.meta.dirname, '../dist/longhorn');
const PORT = 10_000;
const PORTS_PER_PROCESS = 40;
const ENGINE_PORTS = [9501, 9502] as const;
const POLL_MS = 100;
/** So close is told how long a replica took to listen. */
const START_POLL_MS = 10;
/** Of a log that are told when its process has ended. */
const LOG_CHARACTERS = 2000;
const CALL_MS = 2000;
const ANSWERS_MS = 20_000;
/** For writing what is dirty and taking the device down; after that the engine is killed. */
const ORDERLY_END_MS = 15_000;

/** A command of the engine's command line that was killed or failed. */
export class CommandError extends Error {}

export interface VolumeProcessesOptions {
  readonly folder: string;
  readonly name: string;
  /** of the engine; a loopback address that no other volume uses: the ports are the same everywhere */
  readonly host: string;
  /** one for each replica; of the engine, or others that no other volume uses */
  readonly replicaHosts: readonly string[];
  readonly sizeBytes: number;
  readonly served: Served;
  /** "" = none */
  readonly backingFile: string;
  /** false: nobody asks the engine anything while it serves, so it costs what its I/O costs; its replicas must stay as they are */
  readonly isWatched: boolean;
}

export class VolumeProcesses {
  readonly name: string;
  readonly replicaNames: readonly string[];
  /** what was asked for, and what the engine has reached */
  sizeBytes: number;
  currentSizeBytes: number;
  frontend: string;
  private readonly options: VolumeProcessesOptions;
  private readonly processes = new Map<string, ChildProcess>();
  /** the engine that is current; the one before it lives while the volume is upgraded */
  private engine: ChildProcess | null = null;
  private former: ChildProcess | null = null;
  private port: number = ENGINE_PORTS[0];
  private client: ServiceClient<ControllerServiceMethods> | null = null;
  private epoch = 0;
  private known: Known;
  private isEnding = false;
  private readonly watching: Promise<void>;

  /** Nothing runs yet. */
  constructor(options: VolumeProcessesOptions) {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: build the engine first (nx run engine:build)`);
    this.options = options;
    this.frontend = options.served.over === 'tcp' ? 'nbd' : 'tgt-blockdev';
    this.name = options.name;
    this.sizeBytes = options.sizeBytes;
    this.currentSizeBytes = options.sizeBytes;
    this.replicaNames = options.replicaHosts.map((_, index) => `${options.name}-r${index}`);
    this.known = { epoch: 0, count: 1, members: [...this.replicaNames], decided: true };
    mkdirSync(options.folder, { recursive: true });
    writeFileSync(join(options.folder, 'boot-id'), 'boot-1\n');
    this.watching = options.isWatched ? this.watch() : Promise.resolve();
  }

  address(replica: string): string {
    return `tcp://${this.listenAddress(replica)}`;
  }

  private listenAddress(replica: string): string {
    return `${this.hostOf(replica)}:${this.portOf(replica)}`;
  }

  private portOf(replica: string): number {
    return PORT + this.replicaNames.indexOf(replica) * PORTS_PER_PROCESS;
  }

  /** Where a replica's files lie. */
  folderOf(replica: string): string {
    return join(this.options.folder, replica);
  }

  /** Of what runs. */
  get pids(): number[] {
    return [this.engine, ...this.processes.values()].flatMap((child) =>
      child !== null && isAlive(child) ? (child.pid ?? []) : [],
    );
  }

  get enginePid(): number {
    return pidOf(this.engine, 'the engine');
  }

  replicaPid(name: string): number {
    return pidOf(this.processes.get(name) ?? null, name);
  }

  private hostOf(replica: string): string {
    const host = this.options.replicaHosts[this.replicaNames.indexOf(replica)];
    if (host === undefined) throw new Error(`no replica ${replica}`);
    return host;
  }

  get engineAddress(): string {
    return `${this.options.host}:${this.port}`;
  }

  /** Of the NBD server of the current engine, when the volume is served over a socket; it is there before the engine answers. */
  get socketPath(): string {
    return join(this.runFolder(this.options.host), 'nbd', `${this.name}@${this.epoch}.sock`);
  }

  private runFolder(host: string): string {
    return join(this.options.folder, host === this.options.host ? 'run' : `run-${host}`);
  }

  private environment(host: string): NodeJS.ProcessEnv {
    return {
      ...process.env,
      LONGHORN_RUN_DIR: this.runFolder(host),
      LONGHORN_BOOT_ID_FILE: join(this.options.folder, 'boot-id'),
      LONGHORN_HOST_ROOT: '',
      POD_IP: host,
    };
  }

  private start(name: string, host: string, args: readonly string[]): ChildProcess {
    const log = openSync(this.logFile(name), 'a');
    const child = spawn(PROGRAM, args, { stdio: ['ignore', log, log], env: this.environment(host) });
    closeSync(log);
    child.on('error', () => undefined);
    return child;
  }

  private logFile(name: string): string {
    return join(this.options.folder, `${name}.log`);
  }

  /** Of `engine` or a replica; "" when it never started. */
  endOfLog(name: string): string {
    const file = this.logFile(name);
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-LOG_CHARACTERS) : '';
  }

  isRunning(name: string): boolean {
    const child = this.processes.get(name);
    return child !== undefined && isAlive(child);
  }

  startReplica(name: string): void {
    if (this.isRunning(name)) return;
    const args = replicaArguments({
      volume: this.name,
      name,
      folder: this.folderOf(name),
      listen: this.listenAddress(name),
      sizeBytes: this.currentSizeBytes,
      backingFile: this.options.backingFile,
    });
    this.processes.set(name, this.start(name, this.hostOf(name), args));
  }

  async killReplica(name: string): Promise<void> {
    await kill(this.processes.get(name) ?? null);
  }

  /** The data goes; the replica must not be a member. */
  async wipeReplica(name: string): Promise<void> {
    await this.killReplica(name);
    rmSync(this.folderOf(name), { recursive: true, force: true });
  }

  get isEngineRunning(): boolean {
    return this.engine !== null && isAlive(this.engine);
  }

  /** The next engine. With `isUpgrade` the one before goes on until `endFormer`. */
  async startEngine(isUpgrade = false): Promise<void> {
    await kill(this.former);
    if (isUpgrade) this.former = this.engine;
    else await kill(this.engine);
    this.port = ENGINE_PORTS[this.port === ENGINE_PORTS[0] ? 1 : 0];
    this.epoch++;
    const args = engineArguments({
      volume: this.name,
      listen: this.engineAddress,
      sizeBytes: this.sizeBytes,
      currentSizeBytes: this.currentSizeBytes,
      frontend: this.frontend,
      served: this.options.served,
      epoch: this.epoch,
      known: this.known,
      isUpgrade,
      replicaAddresses: this.replicaNames.map((name) => this.address(name)),
    });
    this.client?.close();
    this.client = createClient(ControllerService, this.engineAddress, { timeoutMs: CALL_MS });
    this.engine = this.start('engine', this.options.host, args);
  }

  async killEngine(): Promise<void> {
    await kill(this.engine);
  }

  async killFormer(): Promise<void> {
    await kill(this.former);
    this.former = null;
  }

  /** What an instance manager does when the next engine runs. */
  async endFormer(): Promise<void> {
    const { former } = this;
    this.former = null;
    if (former === null || !isAlive(former)) return;
    const ended = once(former, 'exit');
    former.kill('SIGHUP');
    await ended;
  }

  async volume(): Promise<Volume> {
    if (this.client === null) throw new Error('no engine was started');
    return this.client.VolumeGet({});
  }

  /** Notes the engine's record, and answers when it asks. */
  private async watch(): Promise<void> {
    while (!this.isEnding) {
      await new Promise((wake) => setTimeout(wake, POLL_MS));
      const { client, epoch } = this;
      if (client === null) continue;
      try {
        const { membership, membershipRequest: asked, size } = await client.VolumeGet({});
        if (epoch !== this.epoch) continue;
        if (size > 0) this.currentSizeBytes = size;
        if (membership !== null) this.note(membership);
        if (asked === null) continue;
        const isCurrent = asked.epoch === this.epoch;
        if (isCurrent) this.note(asked);
        const reason = isCurrent ? '' : 'not the current engine';
        await client.MembershipConfirm({ epoch: asked.epoch, count: asked.count, confirmed: isCurrent, reason });
      } catch {
        // No engine answers at the moment.
      }
    }
  }

  private note({ epoch, count, members, decided }: MembershipRecord): void {
    const isNewer = epoch > this.known.epoch || (epoch === this.known.epoch && count >= this.known.count);
    if (isNewer) this.known = { epoch, count, members, decided };
  }

  /** Runs a command of the engine's command line; `onStart` gets its process, to kill it. */
  async longhorn(args: readonly string[], onStart: (child: ChildProcess) => void = () => undefined): Promise<string> {
    const called = ['--url', this.engineAddress, '--engine-instance-name', engineNameOf(this.name)];
    const child = spawn(PROGRAM, [...called, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.environment(this.options.host),
    });
    onStart(child);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (code === 0) return output;
    throw new CommandError(`longhorn ${args.join(' ')}: ${signal ?? `exit ${code}`} ${errors.trim()}`);
  }

  /** What is dead is started, and the engine serves. */
  async untilServing(timeoutMs: number): Promise<Volume> {
    for (const name of this.replicaNames) this.startReplica(name);
    if (!this.isEngineRunning) await this.startEngine();
    const describe = async (): Promise<string> => JSON.stringify(await this.volume().catch(String));
    return waitFor(
      `${this.name} serves`,
      timeoutMs,
      async () => {
        // One that has failed, or was killed late, ends by itself.
        for (const name of this.replicaNames) this.startReplica(name);
        return this.servingVolume();
      },
      describe,
    );
  }

  /** null: not yet. @throws when it never will */
  private async servingVolume(): Promise<Volume | null> {
    const volume = await this.volume();
    if (volume.ioState === 'failed') throw new Error(`the engine failed: ${volume.ioReason}`);
    const isUp = volume.ioState === 'serving' && (this.frontend === '' || volume.frontendState === 'up');
    return isUp ? volume : null;
  }

  /** Starts all. @throws at once when one of them ends, with the end of its log */
  async bringUp(timeoutMs: number): Promise<Volume> {
    for (const name of this.replicaNames) await this.bringUpReplica(name);
    await this.startEngine();
    return this.orEnded(`${this.name} serves`, timeoutMs, POLL_MS, () => this.servingVolume());
  }

  /** Starts a replica; milliseconds until it listens. @throws at once when it ends instead, with the end of its log */
  async bringUpReplica(name: string): Promise<number> {
    const begunMs = performance.now();
    this.startReplica(name);
    await this.orEnded(`replica ${name} answers`, ANSWERS_MS, START_POLL_MS, () => this.isListening(name));
    return performance.now() - begunMs;
  }

  /** Waits for something that processes do, which must not end meanwhile. */
  async orEnded<T>(
    what: string,
    timeoutMs: number,
    pollMs: number,
    probe: () => Promise<T | null | false> | T | null | false,
  ): Promise<T> {
    const result = await waitFor<{ ended: string } | { value: T }>(
      what,
      timeoutMs,
      async () => {
        const ended = this.firstEnded();
        if (ended !== null) return { ended };
        const value = await probe();
        return value === null || value === false ? null : { value };
      },
      undefined,
      pollMs,
    );
    if ('value' in result) return result.value;
    throw new Error(`${result.ended} of ${this.name} has ended: ${this.endOfLog(result.ended)}`);
  }

  /** Of what was started. */
  private firstEnded(): string | null {
    if (this.engine !== null && !isAlive(this.engine)) return 'engine';
    return [...this.processes.keys()].find((name) => !this.isRunning(name)) ?? null;
  }

  /** Replicas that are not RW, by name. */
  async missing(): Promise<string[]> {
    const { replicas } = await this.volume();
    const rw = new Set(replicas.filter(({ mode }) => mode === ReplicaMode.RW).map(({ address }) => address?.address));
    return this.replicaNames.filter((name) => !rw.has(this.address(name)));
  }

  /** Out of the engine; one that is not there is out. */
  async removeReplica(name: string): Promise<void> {
    const { replicas } = await this.volume();
    const isThere = replicas.some(({ address }) => address?.address === this.address(name));
    if (isThere) await this.longhorn(['rm-replica', this.address(name)]);
  }

  /** Takes a replica out, wipes it if wanted, and rebuilds it. */
  async rebuild(name: string, isWiped: boolean, onStart?: (child: ChildProcess) => void): Promise<void> {
    await this.removeReplica(name);
    if (isWiped) {
      await this.wipeReplica(name);
      this.startReplica(name);
    }
    await this.untilListening(name);
    const sizes = ['--size', String(this.sizeBytes), '--current-size', String(this.currentSizeBytes)];
    await this.longhorn(['add-replica', ...sizes, this.address(name)], onStart);
  }

  async untilListening(name: string): Promise<void> {
    await waitFor(`replica ${name} answers`, ANSWERS_MS, () => this.isListening(name));
  }

  private isListening(name: string): Promise<boolean> {
    return isListening(this.hostOf(name), this.portOf(name));
  }

  /** Ends the engine as a control plane does, so that its device goes away, and then all processes; the folder stays. */
  async endOrderly(): Promise<void> {
    const { engine } = this;
    if (engine !== null && isAlive(engine)) {
      const ended = once(engine, 'exit');
      engine.kill('SIGTERM');
      await Promise.race([ended, delay(ORDERLY_END_MS, null, { ref: false })]);
    }
    await this.end();
    // What an engine that did not end by itself has left in the kernel.
    if (this.options.served.over === 'device') await this.longhorn(['frontend', 'cleanup', '--volume', this.name]);
  }

  /** Kills all processes; the folder stays. */
  async end(): Promise<void> {
    this.isEnding = true;
    await this.watching;
    this.client?.close();
    await kill(this.former);
    await kill(this.engine);
    for (const child of this.processes.values()) await kill(child);
  }
}

function isAlive({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null;
}

function pidOf(child: ChildProcess | null, name: string): number {
  if (child?.pid === undefined || !isAlive(child)) throw new Error(`${name} does not run`);
  return child.pid;
}

async function kill(child: ChildProcess | null): Promise<void> {
  if (child === null || !isAlive(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
