/**
 * From the start of an engine's process to the first answers to a client, on a volume of 1 TiB with one replica: the replica's process
 * runs and has nothing open yet, so it loads its index when the engine opens it. Once with as many extents as in
 * `memory.ts`, made up, and once with data in the head.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { NbdClient } from '../../test/nbd-client.ts';
import type { VolumeProcesses } from '../../testing/volume-processes.ts';
import { PLAIN_VOLUME, prepareOurs, SERVING_MS } from '../systems.ts';
import { atMost, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import { lastReplica } from './bench-volume.ts';
import { makeReplica, type MadeUpReplica } from './made-up-replica.ts';
import { EXTENTS, GIB, SNAPSHOTS, TIB } from './memory.ts';

const START_MS_MAX = 1000;
const POLL_MS = 2;
const BLOCK = 4096;
const DATA_BYTES = 4 * GIB;
const DATA_EXTENT_BYTES = 64 << 10;

/** A volume as it is found. */
interface Subject {
  /** of its folder; short, for there are sockets in it */
  readonly key: string;
  readonly name: string;
  readonly content: Pick<MadeUpReplica, 'snapshots' | 'extents' | 'headExtents'>;
  readonly detail: string;
}

export const startCase: BenchCase = {
  name: 'start',
  async run(options) {
    const place = mkdtempSync(join(options.folder, 'start-'));
    try {
      const figures: Figure[] = [];
      for (const subject of subjects(options.scale)) figures.push(...(await start(subject, place, options)));
      return figures;
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  },
};

function subjects(scale: number): Subject[] {
  const extents = Math.round(EXTENTS * scale);
  const count = Math.ceil((DATA_BYTES * scale) / DATA_EXTENT_BYTES);
  const headExtents = { count: 0, bytes: 0 };
  return [
    {
      key: 'empty',
      name: 'empty',
      content: { snapshots: 0, extents: 0, headExtents },
      detail: 'nothing written',
    },
    {
      key: 'many',
      name: `${EXTENTS} extents`,
      content: { snapshots: SNAPSHOTS, extents, headExtents },
      detail: `made up: ${extents} unwritten extents of 4 KiB, scattered over ${SNAPSHOTS} snapshots`,
    },
    {
      key: 'data',
      name: 'data in the head',
      content: { snapshots: 0, extents: 0, headExtents: { count, bytes: DATA_EXTENT_BYTES } },
      detail: `${((count * DATA_EXTENT_BYTES) / GIB).toFixed(2)} GiB in ${count} pieces of 64 KiB`,
    },
  ];
}

async function start(subject: Subject, folder: string, { log }: CaseOptions): Promise<Figure[]> {
  const { key, name, content, detail } = subject;
  const volume = prepareOurs({ ...PLAIN_VOLUME, name: key, folder, replicas: 1, sizeBytes: TIB });
  const replica = lastReplica(volume);
  const path = volume.folderOf(replica);
  try {
    log(`making a replica: ${name}`);
    await makeReplica({ path, sizeBytes: TIB, spread: 'scattered', ...content });
    const replicaMs = await volume.bringUpReplica(replica);
    const { servedMs, readMs, writtenMs } = await firstAnswers(volume);
    const steps = `connected after ${servedMs.toFixed(0)} ms, read after ${readMs.toFixed(0)} ms`;
    return [
      {
        name: `engine, 1 TiB, ${name}`,
        value: writtenMs,
        unit: 'ms',
        demand: atMost(START_MS_MAX),
        detail: `${steps}; ${detail}`,
      },
      {
        name: `replica, 1 TiB, ${name}`,
        value: replicaMs,
        unit: 'ms',
        demand: null,
        detail: 'until it listens; it loads its index when the engine opens it',
      },
    ];
  } finally {
    await volume.endOrderly();
    rmSync(path, { recursive: true, force: true });
  }
}

/** Milliseconds since the engine's process was started: its socket was there, a read was answered, a write was. */
async function firstAnswers(volume: VolumeProcesses): Promise<{ servedMs: number; readMs: number; writtenMs: number }> {
  const begunMs = performance.now();
  const since = (): number => performance.now() - begunMs;
  await volume.startEngine();
  await volume.orEnded('the engine serves', SERVING_MS, POLL_MS, () => existsSync(volume.socketPath));
  const servedMs = since();
  const client = await NbdClient.openUnix(volume.socketPath, volume.name);
  try {
    await client.read(TIB / 2, BLOCK);
    const readMs = since();
    await client.write(0, Buffer.alloc(BLOCK, 1));
    return { servedMs, readMs, writtenMs: since() };
  } finally {
    client.close();
  }
}
