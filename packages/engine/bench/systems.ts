/**
 * What is measured: a volume that runs already, or our engine with its replicas started here; and, when `PEER_ENGINE` names one,
 * another engine that serves upstream's socket protocol. The yardstick is in quorum.ts.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SOCKET_PATH_BYTES_MAX } from '../src/replica/data-socket-path.ts';
import { isListening } from '../testing/listening.ts';
import type { Served } from '../testing/volume-arguments.ts';
import { VolumeProcesses } from '../testing/volume-processes.ts';
import { waitFor } from '../testing/wait.ts';
import { freePorts } from '../testing/free-ports.ts';
import { LISTENING_MS, start, startingOrStopped, stopAll } from './processes.ts';

/** Of an index with many extents: it is loaded before the volume is served. */
export const SERVING_MS = 300_000;
/** What the path of a socket gets while it is made: a point and a process id. */
const ENDING_BYTES = 8;
/** Of the last two numbers of loopback addresses. */
const NUMBERS = 250;

export interface System {
  readonly name: string;
  /** For fio's nbd engine; null: driven over its socket. */
  readonly nbd: NbdAccess | null;
  readonly socketPath: string | null;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export interface NbdAccess {
  readonly uri: string;
  /** The home folder that fio is given, for the certificates in it (`.pki/libnbd`); null: no TLS */
  readonly home: string | null;
}

/** A volume that somebody else has started: it is measured and left as it is. */
export function runningVolume(uri: string, pids: readonly number[]): System {
  return { name: 'ours', nbd: { uri, home: null }, socketPath: null, pids, stop: () => Promise.resolve() };
}

export interface OurOptions {
  /** of the system that it is, and of its folder */
  readonly name: string;
  /** A folder `name` is made there; nobody removes it but who made `folder`. */
  readonly folder: string;
  readonly replicas: number;
  readonly sizeBytes: number;
  readonly served: Served;
  /** "" = none */
  readonly backingFile: string;
  /** Wanted where replicas go and come; it costs the engine a call ten times a second. */
  readonly isWatched: boolean;
}

/** What most volumes are. */
export const PLAIN_VOLUME = { served: { over: 'socket' }, backingFile: '', isWatched: false } as const;

/**
 * A volume of ours, of which no process runs yet. Replica 1 is on the engine's host and reached over its unix socket, the others over TCP,
 * as on other nodes; all lie on one file system.
 */
export function prepareOurs({ name, folder, replicas, ...options }: OurOptions): VolumeProcesses {
  const hosts = loopbackHosts(replicas);
  const [host] = hosts;
  if (host === undefined) throw new Error('a volume has replicas');
  const home = join(folder, name);
  const volume = `bench-${name}-${process.pid}`;
  const processes = new VolumeProcesses({ ...options, folder: home, name: volume, host, replicaHosts: hosts });
  const pathBytes = Buffer.byteLength(processes.socketPath) + ENDING_BYTES;
  if (pathBytes <= SOCKET_PATH_BYTES_MAX) return processes;
  throw new Error(`${processes.socketPath} is too long for a socket: use a --folder with a shorter path`);
}

let hostsTaken = 0;

/** Addresses that no other volume of this process has, and most likely none of another benchmark. */
function loopbackHosts(count: number): string[] {
  const third = process.pid % NUMBERS;
  return Array.from({ length: count }, () => `127.79.${third}.${1 + (hostsTaken++ % NUMBERS)}`);
}

export interface OurSystem extends System {
  readonly volume: VolumeProcesses;
  /** an NBD URI, or the path of a block device */
  readonly endpoint: string;
}

/** Our engine with its replicas, serving. */
export async function startOurs(options: OurOptions): Promise<OurSystem> {
  const volume = prepareOurs(options);
  const stop = (): Promise<void> => volume.endOrderly();
  try {
    const { endpoint } = await volume.bringUp(SERVING_MS);
    const nbd = options.served.over === 'device' ? null : { uri: endpoint, home: null };
    return { name: options.name, nbd, socketPath: null, pids: volume.pids, volume, endpoint, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export interface PeerOptions {
  readonly folder: string;
  readonly replicas: number;
  readonly sizeBytes: number;
}

/** Another engine, started by upstream's commands, with the `socket` frontend. */
export async function startPeer(executable: string, { folder, replicas, sizeBytes }: PeerOptions): Promise<System> {
  const home = join(folder, 'peer');
  mkdirSync(home, { recursive: true });
  const volume = `bench-peer-${process.pid}`;
  const hosts = Array.from({ length: replicas }, (_, i) => `127.0.0.${i + 2}`);
  const port = await freePorts(10, hosts);
  const socketPath = `/var/run/longhorn-${volume}.sock`;
  return startingOrStopped(async (running) => {
    for (const [i, host] of hosts.entries()) {
      const data = join(home, `replica${i + 1}`);
      mkdirSync(data, { recursive: true });
      const args = ['replica', data, '--size', String(sizeBytes), '--listen', `${host}:${port + 1}`];
      args.push('--sync-agent=false');
      running.push(start(`peer replica ${i + 1}`, executable, args, join(home, `replica${i + 1}.log`)));
      await waitFor(`peer replica ${i + 1} listens`, LISTENING_MS, () => isListening(host, port + 1));
    }
    const args = ['controller', volume, '--listen', `127.0.0.2:${port}`, '--frontend', 'socket'];
    args.push('--size', String(sizeBytes), '--current-size', String(sizeBytes));
    for (const host of hosts) args.push('--replica', `tcp://${host}:${port + 1}`);
    running.push(start('peer engine', executable, args, join(home, 'engine.log')));
    await waitFor('the peer engine serves', LISTENING_MS, () => existsSync(socketPath));
    const pids = running.map(({ pid }) => pid);
    return { name: 'peer', nbd: null, socketPath, pids, stop: () => stopAll(running) };
  });
}
