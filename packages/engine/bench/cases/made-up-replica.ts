/**
 * A replica's folder as long use leaves it, made without data: each extent of its snapshots is an unwritten one, which the file system
 * allocates and nobody writes. Below the head such an extent counts as zeros, so a replica's real process on the real file system
 * asks for it and indexes it as any other. Takes disk space as data would (4 GiB for a million blocks of 4 KiB), which is given back
 * with the folder. Extents of the head are written: there an unwritten extent is a write that was lost (`replica/head-leftovers.ts`).
 */
import type { DataFile } from '../../src/io/disk.ts';
import { openNodeFolder } from '../../src/io/node/node-folder.ts';
import { BLOCK_BYTES, SECTOR_BYTES } from '../../src/limits.ts';
import { encodeDiskMeta, encodeVolumeMeta, VOLUME_META } from '../../src/replica/metadata.ts';
import { FIRST_HEAD, META_SUFFIX, snapshotFile } from '../../src/replica/snapshot-chain.ts';

export interface MadeUpReplica {
  /** made when it is missing */
  readonly path: string;
  readonly sizeBytes: number;
  readonly snapshots: number;
  /** of a block each, over all snapshots */
  readonly extents: number;
  /** `scattered`: a block's neighbours are other snapshots'; `in areas`: each snapshot has a part of the volume of its own */
  readonly spread: Spread;
  /** of `extentBytes` each, in the head */
  readonly headExtents: { readonly count: number; readonly bytes: number };
}

export type Spread = 'scattered' | 'in areas';

export async function makeReplica({
  path,
  sizeBytes,
  snapshots,
  extents,
  spread,
  headExtents,
}: MadeUpReplica): Promise<void> {
  const folder = await openNodeFolder(path);
  const disks = [...Array.from({ length: snapshots }, (_, i) => snapshotFile(`made-up-${i}`)), FIRST_HEAD];
  for (const [i, name] of disks.entries()) {
    const file = await folder.create(name, sizeBytes);
    try {
      if (name === FIRST_HEAD) await writeExtents(file, sizeBytes, headExtents);
      else
        for (const block of blocksOfSnapshot(i, { sizeBytes, snapshots, extents, spread }))
          file.zero(block * BLOCK_BYTES, BLOCK_BYTES);
    } finally {
      await file.close();
    }
    const meta = {
      name,
      parent: disks[i - 1] ?? '',
      isRemoved: false,
      isUserCreated: true,
      created: CREATED,
      labels: null,
    };
    await folder.writeSmall(`${name}${META_SUFFIX}`, Buffer.from(encodeDiskMeta(meta)));
  }
  const meta = {
    sizeBytes,
    head: FIRST_HEAD,
    isDirty: false,
    isRebuilding: false,
    parent: disks.at(-2) ?? '',
    sectorBytes: SECTOR_BYTES,
    backingFilePath: '',
  };
  await folder.writeSmall(VOLUME_META, Buffer.from(encodeVolumeMeta(meta)));
  await folder.sync();
}

const CREATED = '2026-01-01T00:00:00Z';

type Layout = Pick<MadeUpReplica, 'sizeBytes' | 'snapshots' | 'extents' | 'spread'>;

/**
 * The blocks that snapshot number `index` has an extent of: all snapshots' together lie at even distances over the whole volume, none
 * beside another.
 */
export function* blocksOfSnapshot(index: number, { sizeBytes, snapshots, extents, spread }: Layout): Generator<number> {
  const distance = sizeBytes / BLOCK_BYTES / extents;
  if (distance < 2) throw new Error(`${extents} extents do not fit apart from each other into ${sizeBytes} bytes`);
  const each = Math.ceil(extents / snapshots);
  const [first, step, end] =
    spread === 'scattered' ? [index, snapshots, extents] : [index * each, 1, Math.min((index + 1) * each, extents)];
  for (let i = first; i < end; i += step) yield Math.floor(i * distance);
}

async function writeExtents(
  file: DataFile,
  sizeBytes: number,
  { count, bytes }: MadeUpReplica['headExtents'],
): Promise<void> {
  const data = Buffer.alloc(bytes, 0x5a);
  const distance = Math.floor(sizeBytes / BLOCK_BYTES / Math.max(count, 1)) * BLOCK_BYTES;
  for (let i = 0; i < count; i++) await file.writeLater(data, 0, bytes, i * distance);
  await file.sync();
}
