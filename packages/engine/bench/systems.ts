/**
 * What is measured: a volume that runs already, or our engine with its replicas started here; and, when `PEER_ENGINE` names one,
 * another engine that serves upstream's socket protocol. The yardstick is in quorum.ts.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { start, until, type Running } from './processes.ts';

export interface System {
  readonly name: string;
  /** For fio's nbd engine; null: driven over its socket. */
  readonly nbdUri: string | null;
  readonly socketPath: string | null;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export interface SystemOptions {
  readonly folder: string;
  readonly replicas: number;
  readonly sizeBytes: number;
}

/** A volume that somebody else has started: it is measured and left as it is. */
export function runningVolume(nbdUri: string, pids: readonly number[]): System {
  return { name: 'ours', nbdUri, socketPath: null, pids, stop: () => Promise.resolve() };
}

const longhorn = resolve(import.meta.dirname, '../dist/longhorn');

/** Replica 1 is in the engine's pod and reached over its unix socket, the others over TCP, as on three nodes. */
export async function startOurs({ folder, replicas, sizeBytes }: SystemOptions): Promise<System> {
  if (!existsSync(longhorn)) throw new Error(`${longhorn} is missing: build the engine first (nx run engine:build)`);
  return startEngine('ours', longhorn, { folder, replicas, sizeBytes }, [
    '--frontend',
    'tgt-blockdev',
    '--blockdev-driver',
    'nbd',
  ]);
}

/** Another engine, started by upstream's commands, with the `socket` frontend. */
export async function startPeer(executable: string, options: SystemOptions): Promise<System> {
  return startEngine('peer', executable, options, ['--frontend', 'socket']);
}

async function startEngine(
  name: string,
  executable: string,
  { folder, replicas, sizeBytes }: SystemOptions,
  frontendArgs: readonly string[],
): Promise<System> {
  const home = join(folder, name);
  mkdirSync(home, { recursive: true });
  const volume = `bench-${name}-${process.pid}`;
  const running: Running[] = [];
  const address = (i: number): string => `127.0.0.${i + 2}:${name === 'ours' ? 19100 : 19300}`;
  const environment = (i: number): NodeJS.ProcessEnv => ({
    POD_IP: `127.0.0.${i + 2}`,
    LONGHORN_RUN_DIR: join(home, 'run'),
    LONGHORN_HOST_ROOT: home,
  });
  for (let i = 0; i < replicas; i++) {
    const data = join(home, `replica${i + 1}`);
    mkdirSync(data, { recursive: true });
    const args = ['replica', data, '--size', String(sizeBytes), '--listen', address(i)];
    args.push('--sync-agent=false');
    // The name of the unix socket comes from it.
    if (name === 'ours') args.push('--replica-instance-name', `${volume}-r-${i + 1}`);
    running.push(
      start(`${name} replica ${i + 1}`, executable, args, join(home, `replica${i + 1}.log`), environment(i)),
    );
    await until(`${name} replica ${i + 1} listening`, () => isListening(address(i)));
  }
  const args = ['controller', volume, '--listen', `127.0.0.2:${name === 'ours' ? 19000 : 19200}`];
  args.push('--size', String(sizeBytes), '--current-size', String(sizeBytes), ...frontendArgs);
  for (let i = 0; i < replicas; i++) args.push('--replica', `tcp://${address(i)}`);
  running.push(start(`${name} engine`, executable, args, join(home, 'engine.log'), environment(0)));
  const isOurs = name === 'ours';
  const socketPath = isOurs ? join(home, 'run', 'nbd', `${volume}.sock`) : `/var/run/longhorn-${volume}.sock`;
  await until(`${name} engine serving`, () => existsSync(socketPath));
  return {
    name,
    nbdUri: isOurs ? `nbd+unix:///${volume}?socket=${socketPath}` : null,
    socketPath: isOurs ? null : socketPath,
    pids: running.map(({ pid }) => pid),
    async stop() {
      for (const process of running.toReversed()) await process.stop();
    },
  };
}

function isListening(address: string): Promise<boolean> {
  const at = address.lastIndexOf(':');
  return new Promise((done) => {
    const socket = connect(Number(address.slice(at + 1)), address.slice(0, at));
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
