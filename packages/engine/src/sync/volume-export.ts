/** A snapshot with all that it stands on, read only, as one file to send. */
import type { DataFile, Folder } from '../io/disk.ts';
import { BLOCK_BYTES } from '../limits.ts';
import { MalformedFileError } from '../replica/metadata.ts';
import { RegionList } from '../replica/region-list.ts';
import { readDisks } from '../replica/replica-folder.ts';
import { liveChain, snapshotFile } from '../replica/snapshot-chain.ts';
import { Volume, type Layer } from '../replica/volume.ts';
import type { WindowSource } from './window.ts';

export interface ExportedVolume {
  readonly source: WindowSource;
  close(): Promise<void>;
}

/** Blocks that some layer holds, as byte ranges. */
function indexExtents(volume: Volume, from: number, to: number, into: Float64Array): number {
  const { index } = volume;
  const pairsMax = into.length >> 1;
  const end = Math.min(Math.ceil(to / BLOCK_BYTES), index.length);
  let pairs = 0;
  for (let block = Math.floor(from / BLOCK_BYTES); block < end && pairs < pairsMax;) {
    const runEnd = index.runEnd(block, end);
    if (index.get(block) !== 0) {
      const start = Math.max(block * BLOCK_BYTES, from);
      const last = pairs * 2 - 1;
      const stop = Math.min(runEnd * BLOCK_BYTES, to, volume.sizeBytes);
      if (pairs > 0 && into[last] === start) into[last] = stop;
      else {
        into[pairs * 2] = start;
        into[pairs * 2 + 1] = stop;
        pairs++;
      }
    }
    block = runEnd;
  }
  return pairs;
}

/** Opens a snapshot; `openBacking`: the backing file counts as data of the volume (null: it is left out). */
export async function exportSnapshot(
  folder: Folder,
  snapshot: string,
  openBacking: (() => Promise<Layer>) | null,
): Promise<ExportedVolume> {
  const disks = await readDisks(folder);
  const name = snapshotFile(snapshot);
  if (!disks.has(name)) {
    throw new MalformedFileError(`${folder.path}/${name}`, 'does not exist', 'name a snapshot of this replica');
  }
  const chain = liveChain(disks, name);
  const layers: Layer[] = [];
  const closeAll = async (): Promise<void> => {
    for (const layer of layers) await layer.file.close();
  };
  try {
    if (openBacking !== null) layers.push(await openBacking());
    for (const disk of chain.toReversed()) {
      const file: DataFile = await folder.open(disk.name, 'read');
      layers.push({ name: disk.name, file, sizeBytes: file.statNow().sizeBytes, isBacking: false });
    }
    const sizeBytes = layers.at(-1)?.sizeBytes ?? 0;
    const volume = await Volume.load(sizeBytes, layers, new RegionList(0));
    const source: WindowSource = {
      sizeBytes,
      extents: (from, to, into) => indexExtents(volume, from, to, into),
      read: async (into, at, length, offset) => {
        const count = Math.min(length, sizeBytes - offset);
        await volume.read(into, at, count, offset);
        return count;
      },
    };
    return { source, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
