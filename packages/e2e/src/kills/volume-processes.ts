/**
 * One volume as processes of this machine: an engine that serves its device as NBD, its replicas, and what a control plane does
 * for them: it gives out epochs, keeps the membership record and answers the engine's questions.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import {
  ControllerService,
  ReplicaMode,
  type ControllerServiceMethods,
  type MembershipRecord,
  type Volume,
} from '@longhorn/shared-types/generated/ptypes';
import { waitFor } from '../wait.ts';

const PROGRAM = resolve(import.meta.dirname, '../../../engine/dist/longhorn');
const PORT = 10_000;
const PORTS_PER_PROCESS = 40;
const ENGINE_PORTS = [9501, 9502] as const;
const POLL_MS = 100;
const CALL_MS = 2000;
const IO_HOLD_SECONDS = 120;

type Known = Pick<MembershipRecord, 'epoch' | 'count' | 'members' | 'decided'>;

/** A command of the engine's command line that was killed or failed. */
export class CommandError extends Error {}

export interface VolumeProcessesOptions {
  readonly folder: string;
  readonly name: string;
  /** a loopback address of its own: the ports are the same everywhere */
  readonly host: string;
  readonly replicas: number;
  readonly sizeBytes: number;
}

export class VolumeProcesses {
  readonly name: string;
  readonly replicaNames: readonly string[];
  /** what was asked for, and what the engine has reached */
  sizeBytes: number;
  currentSizeBytes: number;
  frontend = 'tgt-blockdev';
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

  constructor(options: VolumeProcessesOptions) {
    this.options = options;
    this.name = options.name;
    this.sizeBytes = options.sizeBytes;
    this.currentSizeBytes = options.sizeBytes;
    this.replicaNames = Array.from({ length: options.replicas }, (_, index) => `${options.name}-r${index}`);
    this.known = { epoch: 0, count: 1, members: [...this.replicaNames], decided: true };
    mkdirSync(options.folder, { recursive: true });
    writeFileSync(join(options.folder, 'boot-id'), 'boot-1\n');
    this.watching = this.watch();
  }

  address(replica: string): string {
    return `tcp://${this.options.host}:${PORT + this.replicaNames.indexOf(replica) * PORTS_PER_PROCESS}`;
  }

  get engineAddress(): string {
    return `${this.options.host}:${this.port}`;
  }

  private environment(): NodeJS.ProcessEnv {
    const { folder, host } = this.options;
    return {
      ...process.env,
      LONGHORN_RUN_DIR: join(folder, 'run'),
      LONGHORN_BOOT_ID_FILE: join(folder, 'boot-id'),
      LONGHORN_HOST_ROOT: '',
      POD_IP: host,
    };
  }

  private start(name: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.options.folder, `${name}.log`), 'a');
    const child = spawn(PROGRAM, args, { stdio: ['ignore', log, log], env: this.environment() });
    closeSync(log);
    child.on('error', () => undefined);
    return child;
  }

  isRunning(name: string): boolean {
    const child = this.processes.get(name);
    return child !== undefined && isAlive(child);
  }

  startReplica(name: string): void {
    if (this.isRunning(name)) return;
    const args = ['--volume-name', this.name, 'replica', join(this.options.folder, name)];
    args.push('--listen', this.address(name).replace('tcp://', ''), '--size', String(this.currentSizeBytes));
    args.push('--disableRevCounter', '--replica-instance-name', name);
    this.processes.set(name, this.start(name, args));
  }

  async killReplica(name: string): Promise<void> {
    await kill(this.processes.get(name) ?? null);
  }

  /** The data goes; the replica must not be a member. */
  async wipeReplica(name: string): Promise<void> {
    await this.killReplica(name);
    rmSync(join(this.options.folder, name), { recursive: true, force: true });
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
    const args = ['--engine-instance-name', `${this.name}-e`, 'controller', this.name, '--listen', this.engineAddress];
    args.push('--size', String(this.sizeBytes), '--current-size', String(this.currentSizeBytes), '--disableRevCounter');
    args.push('--frontend', this.frontend, '--blockdev-driver', 'nbd', '--io-hold-timeout', String(IO_HOLD_SECONDS));
    args.push('--epoch', String(this.epoch), '--membership', JSON.stringify(this.known));
    if (isUpgrade) args.push('--upgrade');
    for (const name of this.replicaNames) args.push('--replica', this.address(name));
    this.client?.close();
    this.client = createClient(ControllerService, this.engineAddress, { timeoutMs: CALL_MS });
    this.engine = this.start('engine', args);
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
    const child = spawn(PROGRAM, ['--url', this.engineAddress, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: this.environment(),
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
        const volume = await this.volume();
        if (volume.ioState === 'failed') throw new Error(`the engine failed: ${volume.ioReason}`);
        return volume.ioState === 'serving' && (this.frontend === '' || volume.frontendState === 'up') && volume;
      },
      describe,
    );
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
    const sizes = ['--size', String(this.sizeBytes), '--current-size', String(this.currentSizeBytes)];
    await waitFor(`replica ${name} answers`, 20_000, () => this.isListening(name));
    await this.longhorn(['add-replica', ...sizes, this.address(name)], onStart);
  }

  private isListening(name: string): Promise<boolean> {
    const { host, port } = { host: this.options.host, port: Number(this.address(name).split(':').at(-1)) };
    return new Promise((answer) => {
      const socket = connect({ host, port });
      socket.once('connect', () => {
        socket.destroy();
        answer(true);
      });
      socket.once('error', () => answer(false));
    });
  }

  /** Ends all processes; the folder stays. */
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

async function kill(child: ChildProcess | null): Promise<void> {
  if (child === null || !isAlive(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
