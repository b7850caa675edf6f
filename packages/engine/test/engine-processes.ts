/** Real `longhorn` processes for tests: replicas and an engine on loopback ports, in a folder of their own. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, openSync, closeSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const PORTS_PER_REPLICA = 20;
const SIZE = '64m';
export const SIZE_BYTES = 64 << 20;

export class EngineProcesses {
  readonly folder = mkdtempSync(join(tmpdir(), 'engine-test-'));
  /** of processes that are started from now on */
  podIp = '';
  readonly basePort: number;
  private readonly replicas = new Map<number, ChildProcess>();
  private engine: ChildProcess | null = null;

  constructor(basePort: number) {
    this.basePort = basePort;
    this.hostStarts('boot-1');
  }

  /** The host of the replicas that are started from now on was started (anew). */
  hostStarts(bootId: string): void {
    writeFileSync(join(this.folder, 'boot-id'), `${bootId}\n`);
  }

  /** Of a block device that is served as NBD, by the epoch that it was made in. */
  nbdSocket(epoch: number): string {
    return join(this.folder, 'run', 'nbd', `v1@${epoch}.sock`);
  }

  address(index: number): string {
    return `tcp://127.0.0.1:${this.replicaPort(index)}`;
  }

  get nbdPort(): number {
    return this.basePort + 1;
  }

  get engineAddress(): string {
    return `127.0.0.1:${this.basePort}`;
  }

  private replicaPort(index: number): number {
    return this.basePort + 10 + index * PORTS_PER_REPLICA;
  }

  private environment(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      LONGHORN_RUN_DIR: join(this.folder, 'run'),
      LONGHORN_BOOT_ID_FILE: join(this.folder, 'boot-id'),
      LONGHORN_HOST_ROOT: '',
      POD_IP: this.podIp,
    };
  }

  private start(name: string, args: readonly string[]): ChildProcess {
    const log = openSync(join(this.folder, `${name}.log`), 'a');
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', log, log], env: this.environment() });
    closeSync(log);
    return child;
  }

  /** `folderOf`: the replica whose folder it has. */
  startReplica(index: number, folderOf = index): void {
    const args = ['--volume-name', 'v1', 'replica', join(this.folder, `r${folderOf}`)];
    args.push('--listen', `127.0.0.1:${this.replicaPort(index)}`, '--size', SIZE, '--disableRevCounter');
    args.push('--replica-instance-name', `r${index}`);
    this.replicas.set(index, this.start(`r${index}`, args));
  }

  startEngine(
    epoch: number,
    known: object,
    replicas: readonly number[],
    frontend = 'nbd',
    more: readonly string[] = [],
  ): void {
    const args = ['--engine-instance-name', 'e1', 'controller', 'v1', '--listen', this.engineAddress];
    args.push('--size', SIZE, '--current-size', SIZE, '--disableRevCounter', '--frontend', frontend);
    args.push('--blockdev-driver', 'nbd');
    args.push('--nbd-listen', `127.0.0.1:${this.nbdPort}`, '--io-hold-timeout', '60');
    args.push('--epoch', String(epoch), '--membership', JSON.stringify(known));
    for (const index of replicas) args.push('--replica', this.address(index));
    args.push(...more);
    this.engine = this.start('engine', args);
  }

  replicaPid(index: number): number {
    return this.replicas.get(index)?.pid ?? 0;
  }

  signalReplica(index: number, signal: NodeJS.Signals): void {
    this.replicas.get(index)?.kill(signal);
  }

  /** Waits until it ends by itself; its exit code. */
  async replicaEnds(index: number): Promise<number | null> {
    const child = this.replicas.get(index);
    if (child && child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child?.exitCode ?? null;
  }

  async killReplica(index: number): Promise<void> {
    await kill(this.replicas.get(index));
  }

  async killEngine(): Promise<void> {
    await kill(this.engine);
  }

  /** Ends the engine in an orderly way; its exit code. */
  async endEngine(): Promise<number | null> {
    const { engine } = this;
    if (!engine) return null;
    const exited = once(engine, 'exit');
    engine.kill('SIGTERM');
    await exited;
    return engine.exitCode;
  }

  /** Runs a client command against the engine; its standard output. */
  async longhorn(...args: readonly string[]): Promise<string> {
    const all = [MAIN, '--url', this.engineAddress, ...args];
    const { stdout } = await run(process.execPath, all, { env: this.environment() });
    return stdout;
  }

  /** Polls a client command until its output satisfies. */
  async until(args: readonly string[], satisfies: (output: string) => boolean, withinMs = 15_000): Promise<string> {
    const end = performance.now() + withinMs;
    let last = '';
    for (;;) {
      try {
        last = await this.longhorn(...args);
        if (satisfies(last)) return last;
      } catch (error) {
        last = String(error);
      }
      if (performance.now() > end) throw new Error(`${args.join(' ')}: ${last}\n${this.logs()}`);
      await delay(100);
    }
  }

  logs(name = 'engine'): string {
    return readFileSync(join(this.folder, `${name}.log`), 'utf8');
  }

  async cleanUp(): Promise<void> {
    await kill(this.engine);
    for (const child of this.replicas.values()) {
      child.kill('SIGCONT');
      await kill(child);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function kill(child: ChildProcess | null | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
