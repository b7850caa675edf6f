/**
 * `longhorn` as a user has it, for tests of its command line: daemons that run on loopback ports, and client commands with their
 * whole outcome. Volumes have no epoch: the rules are upstream's.
 *
 * Daemons are processes. A client command is one only where a test asks for that: otherwise it runs in this process, some
 * milliseconds instead of some hundred, from the same arguments to the same streams and exit code (`main.ts` adds nothing to it).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runCli } from '../src/cli/program.ts';
import { freePorts } from '../testing/free-ports.ts';
import { NbdClient } from './nbd-client.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const PORTS = 100;
/** Control, data, sync agent. */
const PORTS_PER_REPLICA = 3;
const TRANSFER_PORTS = 2;
const COMMAND_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** How a run of `longhorn` ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const captured = new AsyncLocalStorage<{ stdout: string; stderr: string }>();

for (const stream of ['stdout', 'stderr'] as const) {
  const write = process[stream].write.bind(process[stream]);
  process[stream].write = (chunk: string | Uint8Array, ...more: never[]): boolean => {
    const into = captured.getStore();
    if (into === undefined) return write(chunk, ...more);
    into[stream] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    return true;
  };
}

/** Runs one client command line in this process; several may run at a time. */
export function runHere(args: readonly string[]): Promise<Outcome> {
  const text = { stdout: '', stderr: '' };
  return captured.run(text, async () => ({ code: await runCli(args), ...text }));
}

/** A controller or replica process. */
export class Daemon {
  readonly child: ChildProcess;
  private stderr = '';
  private readonly exited: Promise<number>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exited = once(child, 'close').then(() => child.exitCode ?? -1);
  }

  /** Resolves when it serves; rejects with its log when it ends instead. */
  async ready(): Promise<void> {
    while (!/listens on|msg="listening"/.test(this.stderr)) {
      const ended = await Promise.race([this.exited, once(this.child.stderr ?? this.child, 'data').then(() => null)]);
      if (ended !== null) throw new Error(`a daemon ended with ${ended}: ${this.stderr}`);
    }
  }

  /** How a daemon that is expected to end by itself ends. */
  async outcome(): Promise<Outcome> {
    return { code: await this.exited, stdout: '', stderr: this.stderr };
  }

  /** Ends it in an orderly way; its exit code. */
  end(): Promise<number> {
    this.child.kill('SIGTERM');
    return this.exited;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

export interface ReplicaOptions {
  /** name of its folder and of its instance; another process may have run on the folder before */
  readonly name: string;
  readonly volume?: string;
  readonly size?: string;
  readonly flags?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
  /** files are sent to it */
  readonly isTarget?: boolean;
}

export interface StartedReplica {
  readonly daemon: Daemon;
  readonly address: string;
  readonly port: number;
  readonly folder: string;
}

export interface EngineOptions {
  readonly volume?: string;
  readonly size?: string;
  /** addresses */
  readonly replicas?: readonly string[];
  readonly flags?: readonly string[];
  readonly environment?: NodeJS.ProcessEnv;
}

export interface StartedEngine {
  readonly daemon: Daemon;
  /** for `--url` */
  readonly url: string;
  readonly nbdPort: number;
  readonly volume: string;
}

export class CliWorld {
  readonly folder = mkdtempSync(join(tmpdir(), 'cli-test-'));
  private nextPort: number;
  private readonly endPort: number;
  private readonly daemons: Daemon[] = [];
  private readonly clients: NbdClient[] = [];

  private constructor(firstPort: number) {
    this.nextPort = firstPort;
    this.endPort = firstPort + PORTS;
    mkdirSync(join(this.folder, 'run'));
    writeFileSync(join(this.folder, 'boot-id'), 'boot-1\n');
  }

  static async open(): Promise<CliWorld> {
    return new CliWorld(await freePorts(PORTS));
  }

  /** The first of `count` ports that nothing else of this world uses. */
  ports(count: number): number {
    const port = this.nextPort;
    this.nextPort += count;
    if (this.nextPort > this.endPort) throw new Error(`the test uses more than ${PORTS} ports`);
    return port;
  }

  private environment(more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
    return {
      ...process.env,
      // Most of a command's time is the reading of its sources.
      NODE_COMPILE_CACHE: join(this.folder, 'compiled'),
      LONGHORN_RUN_DIR: join(this.folder, 'run'),
      LONGHORN_DATA_ROOT: join(this.folder, 'data'),
      LONGHORN_BOOT_ID_FILE: join(this.folder, 'boot-id'),
      LONGHORN_HOST_ROOT: '',
      POD_IP: '',
      ...more,
    };
  }

  /** Starts a daemon; the caller waits for `ready`, or for its outcome. */
  start(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Daemon {
    const child = spawn(process.execPath, [MAIN, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: this.environment(environment),
    });
    const daemon = new Daemon(child);
    this.daemons.push(daemon);
    return daemon;
  }

  async replica(options: ReplicaOptions): Promise<StartedReplica> {
    const { name, volume = 'v1', size = '4m', flags = [], environment, isTarget = false } = options;
    const port = this.ports(PORTS_PER_REPLICA + (isTarget ? TRANSFER_PORTS : 0));
    const folder = join(this.folder, name);
    const args = ['--volume-name', volume, 'replica', folder, '--listen', `127.0.0.1:${port}`, '--disableRevCounter'];
    args.push('--sync-agent-port-count', String(TRANSFER_PORTS), '--size', size);
    const daemon = this.start([...args, ...flags], environment);
    await daemon.ready();
    return { daemon, address: `tcp://127.0.0.1:${port}`, port, folder };
  }

  /** A replica with an instance name (an engine reaches it by a unix socket), to which files may be sent. */
  named(name: string, options: Omit<ReplicaOptions, 'name'> = {}): Promise<StartedReplica> {
    const flags = ['--replica-instance-name', name, ...(options.flags ?? [])];
    return this.replica({ ...options, name, flags, isTarget: true });
  }

  /** Not waited for: it may be meant to end. */
  startEngine(options: EngineOptions): StartedEngine {
    const { volume = 'v1', size = '4m', replicas = [], flags = [], environment } = options;
    const port = this.ports(2);
    const url = `127.0.0.1:${port}`;
    const args = ['controller', volume, '--listen', url, '--size', size, '--current-size', size, '--disableRevCounter'];
    args.push('--nbd-listen', `127.0.0.1:${port + 1}`, '--blockdev-driver', 'nbd');
    for (const address of replicas) args.push('--replica', address);
    const daemon = this.start([...args, ...flags], environment);
    return { daemon, url, nbdPort: port + 1, volume };
  }

  async engine(options: EngineOptions): Promise<StartedEngine> {
    const engine = this.startEngine(options);
    await engine.daemon.ready();
    return engine;
  }

  /** An NBD client of an engine with the frontend `nbd`. */
  async nbd({ nbdPort, volume }: StartedEngine): Promise<NbdClient> {
    const client = await NbdClient.open('127.0.0.1', nbdPort, volume);
    this.clients.push(client);
    return client;
  }

  /** Runs one command line as a process. */
  run(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    const options = { timeout: COMMAND_TIMEOUT_MS, env: this.environment(environment) };
    return new Promise((resolve) => {
      execFile(process.execPath, [MAIN, ...args], options, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ code, stdout, stderr });
      });
    });
  }

  /** A client command that has to succeed; its standard output. */
  async output({ url }: StartedEngine, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runHere(['--url', url, ...args]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** A client command that prints JSON. */
  async json<T>(engine: StartedEngine, ...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.output(engine, ...args)) as T;
  }

  /** A client command that has to fail as every command does; the error of its fatal line. */
  async failure({ url }: StartedEngine, ...args: readonly string[]): Promise<string> {
    return failureOf(await runHere(['--url', url, ...args]));
  }

  /** Polls a client command until its JSON satisfies. */
  async until<T>(engine: StartedEngine, args: readonly string[], satisfies: (value: T) => boolean): Promise<T> {
    for (const end = performance.now() + 20_000; ; await delay(POLL_MS)) {
      const value = await this.json<T>(engine, ...args);
      if (satisfies(value)) return value;
      if (performance.now() > end) throw new Error(`${args.join(' ')}: ${JSON.stringify(value)}`);
    }
  }

  async close(): Promise<void> {
    for (const client of this.clients) client.close();
    await Promise.all(this.daemons.map((daemon) => daemon.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The text of the one fatal line; throws unless the run ended as a failed command does: 1, and nothing on standard output. */
export function failureOf({ code, stdout, stderr }: Outcome): string {
  const lines = stderr.split('\n').filter((line) => line.includes('level=fatal'));
  const error = / error=("(?:[^"\\]|\\.)*"|\S+)$/.exec(lines[0] ?? '')?.[1];
  if (code !== 1 || stdout !== '' || lines.length !== 1 || error === undefined) {
    throw new Error(`not a command that failed: ${JSON.stringify({ code, stdout, stderr })}`);
  }
  return error.startsWith('"') ? String(JSON.parse(error)) : error;
}
