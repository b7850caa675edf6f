/**
 * Memory of an engine and one replica that do nothing (PSS: what they share with each other or with other processes of the same
 * executable counts in part): of a small volume, and of 1 TiB whose index is one run, or as many extents over as many snapshots as
 * a chain may have. The large ones are made up, without data: see `made-up-replica.ts`; the run is a sparse backing file, each block of
 * which counts as data.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LIVE_CHAIN_MAX } from '../../src/limits.ts';
import type { VolumeProcesses } from '../../testing/volume-processes.ts';
import { pssBytes } from '../processes.ts';
import { PLAIN_VOLUME, prepareOurs, SERVING_MS } from '../systems.ts';
import { atMost, type BenchCase, type CaseOptions, type Figure } from './bench-case.ts';
import { lastReplica } from './bench-volume.ts';
import { makeReplica, type Spread } from './made-up-replica.ts';

export const GIB = 2 ** 30;
export const TIB = 2 ** 40;
export const EXTENTS = 1_000_000;
/** As many as fit into a chain with its head. */
export const SNAPSHOTS = LIVE_CHAIN_MAX - 1;
const MB_MAX = { small: 130, oneExtent: 150, manyExtents: 256 };
/** Until what starting has left behind is collected. */
const IDLE_SECONDS = 5;

export const memoryCase: BenchCase = {
  name: 'memory',
  async run(options) {
    const place = mkdtempSync(join(options.folder, 'memory-'));
    try {
      return [
        await small(place),
        await oneExtent(place),
        await manyExtents(place, 'scattered', options),
        await manyExtents(place, 'in areas', options),
      ];
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  },
};

async function small(place: string): Promise<Figure> {
  const volume = prepare(place, 'small', GIB, '');
  return figure('idle, 1 GiB', volume, MB_MAX.small, 'nothing written');
}

async function oneExtent(place: string): Promise<Figure> {
  const backing = join(place, 'backing.img');
  writeFileSync(backing, '');
  truncateSync(backing, TIB);
  const volume = prepare(place, 'one', TIB, backing);
  return figure('idle, 1 TiB in one extent', volume, MB_MAX.oneExtent, 'made up: a sparse backing file');
}

async function manyExtents(place: string, spread: Spread, { scale, log }: CaseOptions): Promise<Figure> {
  const extents = Math.round(EXTENTS * scale);
  const volume = prepare(place, spread.replace(' ', '-'), TIB, '');
  const path = volume.folderOf(lastReplica(volume));
  log(`making ${extents} extents, ${spread}`);
  await makeReplica({
    path,
    sizeBytes: TIB,
    snapshots: SNAPSHOTS,
    extents,
    spread,
    headExtents: { count: 0, bytes: 0 },
  });
  const name = `idle, 1 TiB in ${EXTENTS} extents ${spread}`;
  const detail = `made up: ${extents} unwritten extents of 4 KiB over ${SNAPSHOTS} snapshots, ${spread}`;
  try {
    return await figure(name, volume, MB_MAX.manyExtents, detail);
  } finally {
    rmSync(path, { recursive: true });
  }
}

function prepare(folder: string, name: string, sizeBytes: number, backingFile: string): VolumeProcesses {
  return prepareOurs({ ...PLAIN_VOLUME, name, folder, replicas: 1, sizeBytes, backingFile });
}

/** Starts the volume, lets it rest, and stops it. */
async function figure(name: string, volume: VolumeProcesses, mbMax: number, what: string): Promise<Figure> {
  try {
    await volume.bringUp(SERVING_MS);
    await pause(IDLE_SECONDS * 1000);
    const [engine, replica] = [
      pssBytes([volume.enginePid]) / 1e6,
      pssBytes([volume.replicaPid(lastReplica(volume))]) / 1e6,
    ];
    const detail = `engine ${engine.toFixed(0)} MB, replica ${replica.toFixed(0)} MB; ${what}`;
    return { name, value: engine + replica, unit: 'MB PSS', demand: atMost(mbMax), detail };
  } finally {
    await volume.endOrderly();
  }
}
