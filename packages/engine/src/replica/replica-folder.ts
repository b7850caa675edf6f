/**
 * A replica's folder as it is found: which disks there are and which head counts, and what an operation that was
 * cut short by a crash has left.
 *
 * `volume.meta` alone says which head counts. Whatever cannot be read, or is missing, is refused with the file's
 * name and nothing is deleted. `finishInterrupted` deletes only names without data of their own:
 *
 *     cut short                     left behind                                      is
 *     create                        an empty head, no volume.meta                    made again
 *     snapshot, before its commit   an empty new head; the snapshot is a second      undone
 *                                   name of the head's file
 *     snapshot, after its commit    the old head is a second name of the snapshot    finished
 *     revert, after its commit      the old head, noted in `discard`                 finished
 *     replace (purge)               a disk is a second name of its removed parent    finished
 *     removal of a disk             an image without meta, noted in `discard`        finished
 */
import type { FileStat, Folder } from '../io/disk.ts';
import { META_FILE_BYTES_MAX } from '../limits.ts';
import {
  MalformedFileError,
  VOLUME_META,
  decodeDiskMeta,
  decodeVolumeMeta,
  encodeDiskMeta,
  type VolumeMeta,
} from './metadata.ts';
import type { ReplicaState } from './replica-state.ts';
import { replaceFile } from '../io/disk.ts';
import {
  CHECKSUM_SUFFIX,
  IMAGE_SUFFIX,
  META_SUFFIX,
  SNAPSHOT_PREFIX,
  childrenOf,
  isHeadFile,
  liveChain,
  type Disk,
  type Disks,
} from './snapshot-chain.ts';

const DISK_META_SUFFIX = `${IMAGE_SUFFIX}${META_SUFFIX}`;

/** Results in the order of the items. A failure is thrown once nothing is under way any more. */
export async function eightAtATime<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += 8) {
    for (const outcome of await Promise.allSettled(items.slice(at, at + 8).map(work))) {
      if (outcome.status === 'rejected') throw outcome.reason;
      results.push(outcome.value);
    }
  }
  return results;
}

/** What `volume.meta` says; null: there is no replica yet. */
export async function readVolumeMeta(folder: Folder, state: ReplicaState): Promise<VolumeMeta | null> {
  const content = await folder.readSmall(VOLUME_META, META_FILE_BYTES_MAX);
  if (content !== null) return decodeVolumeMeta(folder.path, content);
  if (await hasData(folder, state)) {
    throw new MalformedFileError(
      `${folder.path}/${VOLUME_META}`,
      'is missing although there are disks',
      'nothing was changed: put the file back from a copy, or remove this replica so that it is rebuilt from another one',
    );
  }
  return null;
}

/** Whether a folder without volume.meta holds more than what an interrupted creation leaves. */
async function hasData(folder: Folder, state: ReplicaState): Promise<boolean> {
  if (state.membership !== null) return true;
  for (const name of await folder.list()) {
    if (name.startsWith(SNAPSHOT_PREFIX)) return true;
    if (!isHeadFile(name)) continue;
    const found = await folder.stat(name);
    if (found !== null && found.allocatedBytes > 0) return true;
  }
  return false;
}

/** All disks, by the name of their file. */
export async function readDisks(folder: Folder): Promise<Map<string, Disk>> {
  const disks = new Map<string, Disk>();
  const names = new Set(await folder.list());
  const metas = [...names].filter((name) => name.endsWith(DISK_META_SUFFIX) && name.startsWith('volume-')).sort();
  const contents = await eightAtATime(metas, (name) => folder.readSmall(name, META_FILE_BYTES_MAX));
  for (const [position, name] of metas.entries()) {
    const image = name.slice(0, -META_SUFFIX.length);
    const content = contents[position] ?? null;
    if (content === null) continue;
    const disk = decodeDiskMeta(folder.path, image, content);
    if (!names.has(image)) {
      throw new MalformedFileError(
        `${folder.path}/${image}`,
        `is missing although ${name} is there`,
        'nothing was changed: put the file back from a copy, or remove this replica so that it is rebuilt from another one',
      );
    }
    disks.set(image, disk);
  }
  return disks;
}

/** Removes the files of a disk: the meta first, so that a crash never leaves a meta without its image. */
export async function removeDiskFiles(folder: Folder, name: string): Promise<void> {
  await folder.remove(`${name}${META_SUFFIX}`);
  await folder.remove(`${name}${CHECKSUM_SUFFIX}`);
  await folder.remove(name);
}

/** Finishes or undoes what a crash cut short; returns sentences for the log, and the disks that there are then. */
export async function finishInterrupted(
  folder: Folder,
  state: ReplicaState,
  meta: VolumeMeta,
): Promise<{ notes: string[]; disks: Map<string, Disk> }> {
  const notes: string[] = [];
  await removeTemporaries(folder);
  await finishDiscards(folder, state, meta, notes);
  const inodes = await statImages(folder);
  await removeSecondNames(folder, meta, inodes, notes);
  const disks = await finishReplace(folder, meta, inodes, notes);
  if (notes.length > 0) await folder.sync();
  return { notes, disks };
}

async function removeTemporaries(folder: Folder): Promise<void> {
  for (const name of await folder.list()) {
    const isOurs = /^(volume\.meta|longhorn-state\.json|volume-.*\.img(\.meta)?)\.tmp$/.test(name);
    if (isOurs) await folder.remove(name);
  }
}

async function finishDiscards(folder: Folder, state: ReplicaState, meta: VolumeMeta, notes: string[]): Promise<void> {
  for (const name of state.discarded) {
    if (name === meta.head) continue;
    const hasMeta = (await folder.stat(`${name}${META_SUFFIX}`)) !== null;
    // A snapshot with its meta is in use again: the discard came before a rebuild that brought it back.
    if (hasMeta && !isHeadFile(name)) continue;
    await removeDiskFiles(folder, name);
    notes.push(`finished the removal of ${name}`);
  }
  await state.discard([]);
}

async function statImages(folder: Folder): Promise<Map<string, FileStat>> {
  const found = new Map<string, FileStat>();
  const isImage = (name: string): boolean => name.startsWith('volume-') && name.endsWith(IMAGE_SUFFIX);
  const names = (await folder.list()).filter(isImage);
  const stats = await eightAtATime(names, (name) => folder.stat(name));
  for (const [position, name] of names.entries()) {
    const stat = stats[position] ?? null;
    if (stat !== null) found.set(name, stat);
  }
  return found;
}

async function removeSecondNames(
  folder: Folder,
  meta: VolumeMeta,
  images: Map<string, FileStat>,
  notes: string[],
): Promise<void> {
  const head = images.get(meta.head);
  const snapshotInodes = new Set<string>();
  for (const [name, stat] of images) if (!isHeadFile(name)) snapshotInodes.add(stat.inode);
  for (const [name, stat] of images) {
    if (name === meta.head) continue;
    const isAliasOfHead = stat.inode === head?.inode;
    const isOldHead = isHeadFile(name) && (stat.allocatedBytes === 0 || snapshotInodes.has(stat.inode));
    if (!isAliasOfHead && !isOldHead) continue;
    await removeDiskFiles(folder, name);
    images.delete(name);
    notes.push(`removed ${name}, left by an interrupted snapshot`);
  }
  for (const name of await folder.list()) {
    const image = name.slice(0, -META_SUFFIX.length);
    if (!name.endsWith(DISK_META_SUFFIX) || !isHeadFile(image) || image === meta.head || images.has(image)) continue;
    await folder.remove(name);
    notes.push(`removed ${name}, left by an interrupted snapshot`);
  }
}

async function finishReplace(
  folder: Folder,
  meta: VolumeMeta,
  images: Map<string, FileStat>,
  notes: string[],
): Promise<Map<string, Disk>> {
  const disks = await readDisks(folder);
  for (const disk of disks.values()) {
    const parent = disks.get(disk.parent);
    if (parent === undefined || disk.name === meta.head) continue;
    const isSameFile = images.get(disk.name)?.inode === images.get(parent.name)?.inode;
    if (!isSameFile || !parent.isRemoved || childrenOf(disks, parent.name).length !== 1) continue;
    const adopted = { ...disk, parent: parent.parent };
    await replaceFile(folder, `${disk.name}${META_SUFFIX}`, encodeDiskMeta(adopted, disk.recordedName));
    await removeDiskFiles(folder, parent.name);
    disks.set(disk.name, adopted);
    disks.delete(parent.name);
    notes.push(`finished merging ${parent.name} into ${disk.name}`);
  }
  return disks;
}

/** The live chain of a folder, head first; refuses one with a missing layer. */
export function checkedChain(folder: Folder, disks: Disks, meta: VolumeMeta): Disk[] {
  if (!disks.has(meta.head)) {
    throw new MalformedFileError(
      `${folder.path}/${meta.head}${META_SUFFIX}`,
      `is missing although ${VOLUME_META} names ${meta.head} as the head`,
      'nothing was changed: put the file back from a copy, or remove this replica so that it is rebuilt from another one',
    );
  }
  return liveChain(disks, meta.head);
}
