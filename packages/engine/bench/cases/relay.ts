/**
 * Large sequential I/O beside a relay: four processes of Node that only copy. Its front takes NBD requests and passes each write on to three
 * stores (one over a unix socket, two over TCP, as a volume's replicas are reached), which put it into a file and acknowledge; a read
 * comes from one. No metadata, nothing checked: what any implementation in Node must pay.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isListening } from '../../testing/listening.ts';
import { waitFor } from '../../testing/wait.ts';
import { fill, LARGE_READ, LARGE_WRITE, measure, type Job } from '../jobs.ts';
import { freePorts } from '../../testing/free-ports.ts';
import { LISTENING_MS, start, startingOrStopped, stopAll } from '../processes.ts';
import { PLAIN_VOLUME, startOurs, type System } from '../systems.ts';
import type { BenchCase, CaseOptions, Figure } from './bench-case.ts';
import { scaledBytes } from './bench-volume.ts';

const SIZE_BYTES = 2 ** 32;
const FILL_BYTES = 2 ** 31;
const MAIN = join(import.meta.dirname, 'relay-main.ts');
const TCP_HOST = '127.0.0.1';

export const relayCase: BenchCase = {
  name: 'relay',
  async run(options) {
    const folder = mkdtempSync(join(options.folder, 'relay-'));
    const sizeBytes = scaledBytes(SIZE_BYTES, options.scale);
    const systems: System[] = [];
    try {
      systems.push(
        await startOurs({ ...PLAIN_VOLUME, name: 'ours', folder, replicas: 3, sizeBytes }),
        await startRelay(folder, sizeBytes),
      );
      return await compare(systems, options);
    } finally {
      for (const system of systems) await system.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function compare(systems: readonly System[], { scale, seconds, log }: CaseOptions): Promise<Figure[]> {
  const fillBytes = scaledBytes(FILL_BYTES, scale);
  log('filling');
  for (const system of systems) await fill(system, fillBytes);
  const figures: Figure[] = [];
  for (const job of [LARGE_WRITE, LARGE_READ]) figures.push(await ratio(systems, job, seconds, fillBytes));
  return figures;
}

async function ratio(systems: readonly System[], job: Job, seconds: number, sizeBytes: number): Promise<Figure> {
  const rates: number[] = [];
  for (const system of systems) {
    rates.push((await measure(system, job, { seconds, rampSeconds: seconds / 3 }, sizeBytes)).mbPerSecond);
  }
  const [ours = 0, relay = 0] = rates;
  const detail = `ours ${ours.toFixed(0)} MB/s, relay ${relay.toFixed(0)} MB/s`;
  return { name: `${job.name}, ours / relay`, value: ours / relay, unit: '', demand: null, detail };
}

async function startRelay(folder: string, sizeBytes: number): Promise<System> {
  const home = join(folder, 'relay');
  mkdirSync(home);
  const port = await freePorts(2, [TCP_HOST]);
  const places = [`unix:${join(home, 'store.sock')}`, `tcp:${TCP_HOST}:${port}`, `tcp:${TCP_HOST}:${port + 1}`];
  const socket = join(home, 'relay.sock');
  return startingOrStopped(async (running) => {
    const launch = (...args: string[]): void => {
      running.push(start('relay', process.execPath, [MAIN, ...args], join(home, 'log')));
    };
    for (const [i, place] of places.entries()) {
      const file = join(home, `store${i}.img`);
      writeFileSync(file, '');
      truncateSync(file, sizeBytes);
      launch('store', place, file);
    }
    await waitFor('the relay’s stores listen', LISTENING_MS, () => areThere(home, port));
    launch('front', socket, String(sizeBytes), ...places);
    await waitFor('the relay listens', LISTENING_MS, () => existsSync(socket));
    const nbd = { uri: `nbd+unix:///relay?socket=${socket}`, home: null };
    return { name: 'relay', nbd, socketPath: null, pids: running.map(({ pid }) => pid), stop: () => stopAll(running) };
  });
}

async function areThere(home: string, port: number): Promise<boolean> {
  if (!existsSync(join(home, 'store.sock'))) return false;
  return (await isListening(TCP_HOST, port)) && (await isListening(TCP_HOST, port + 1));
}
