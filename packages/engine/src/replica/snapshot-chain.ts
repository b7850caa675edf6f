/**
 * The disks of a replica as a forest (a disk names its parent) and the live chain in it: head, its parent, and so on.
 * Pure: names and records, no files.
 */
import { LIVE_CHAIN_MAX } from '../limits.ts';
import type { DiskMeta } from './metadata.ts';

export const HEAD_PREFIX = 'volume-head-';
export const SNAPSHOT_PREFIX = 'volume-snap-';
export const IMAGE_SUFFIX = '.img';
export const META_SUFFIX = '.meta';
export const CHECKSUM_SUFFIX = '.checksum';
export const FIRST_HEAD = `${HEAD_PREFIX}000${IMAGE_SUFFIX}`;

/** A disk with the name that its meta file records, which upstream keeps stale. */
export type Disk = DiskMeta & { readonly recordedName: string };
export type Disks = ReadonlyMap<string, Disk>;

/** `volume-snap-NAME.img`. */
export function snapshotFile(snapshot: string): string {
  return `${SNAPSHOT_PREFIX}${snapshot}${IMAGE_SUFFIX}`;
}

/** The disk that a caller means by a file name or a snapshot name. */
export function diskOfName(disks: Disks, name: string): Disk | null {
  return disks.get(name) ?? disks.get(snapshotFile(name)) ?? null;
}

export function isHeadFile(name: string): boolean {
  return name.startsWith(HEAD_PREFIX) && name.endsWith(IMAGE_SUFFIX);
}

/** Why a name cannot be a snapshot's, or null. It becomes part of a file name. */
export function snapshotNameProblem(name: string): string | null {
  if (name === '') return 'cannot accept empty snapshot name';
  if (/[/\0]/.test(name) || name === '.' || name === '..') return `snapshot name ${name} has a / or is no file name`;
  const bytes = Buffer.byteLength(`${snapshotFile(name)}${CHECKSUM_SUFFIX}..tmp`);
  return bytes > 255 ? `snapshot name ${name} is too long: its files would have names of ${bytes} bytes` : null;
}

/** Upstream's next head: only the last digit counts, so 009 is followed by 010 and 010 by 001. */
export function nextHeadFile(head: string): string {
  const digit = /(\d)\.img$/.exec(head)?.[1];
  if (digit === undefined) throw new Error(`head ${head} has no number`);
  return `${HEAD_PREFIX}${String(Number(digit) + 1).padStart(3, '0')}${IMAGE_SUFFIX}`;
}

/** Children of a disk, by name. */
export function childrenOf(disks: Disks, name: string): string[] {
  const children: string[] = [];
  for (const disk of disks.values()) if (disk.parent === name) children.push(disk.name);
  return children.sort();
}

/** The live chain, head first, removed disks included. Throws upstream's texts for a broken or too long one. */
export function liveChain(disks: Disks, head: string): Disk[] {
  const chain: Disk[] = [];
  const seen = new Set<string>();
  for (let name = head; name !== '';) {
    const disk = disks.get(name);
    if (disk === undefined) throw new Error(`failed to find metadata for ${name}`);
    if (seen.has(name)) throw new Error(`live chain has a loop at ${name}`);
    seen.add(name);
    chain.push(disk);
    name = disk.parent;
  }
  if (chain.length > LIVE_CHAIN_MAX) throw new Error(`live chain is too long: ${chain.length}`);
  return chain;
}

export interface RemoveAction {
  readonly action: 'coalesce' | 'replace' | 'remove' | 'prune';
  readonly source: string;
  readonly target: string;
}

/** What has to be done to get rid of a disk that is marked as removed. */
export function removeActions(disks: Disks, head: string, name: string): RemoveAction[] {
  const children = childrenOf(disks, name);
  const [child] = children;
  if (child === undefined) return [{ action: 'remove', source: name, target: '' }];
  if (children.length > 1) return [];
  if (child === head) return [{ action: 'prune', source: name, target: head }];
  return [
    { action: 'coalesce', source: name, target: child },
    { action: 'replace', source: name, target: child },
  ];
}

/** Disks that count against the limit of snapshots: neither head nor removed, over all branches. */
export function snapshotCount(disks: Disks, head: string): number {
  let count = 0;
  for (const disk of disks.values()) if (disk.name !== head && !disk.isRemoved) count++;
  return count;
}
