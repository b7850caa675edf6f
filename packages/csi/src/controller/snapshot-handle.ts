/** Handles of snapshots: `snap://VOLUME/SNAPSHOT`, `bak://VOLUME/BACKUP` (`bs://` in old ones) and `bi://backing?…`. */
import { objectNameProblem } from '@longhorn/shared-types';
import { createHash } from 'node:crypto';
import { isVolumeId } from '../call/request-checks.ts';

export type SnapshotHandle =
  | { kind: 'snap'; volume: string; snapshot: string }
  | { kind: 'bak'; volume: string; backup: string }
  | { kind: 'bi'; query: URLSearchParams }
  /** no handle of ours: nothing of this id can exist */
  | { kind: 'unknown' };

const NAME_LENGTH_MAX = 128;
const HASH_LENGTH = 16;

/** Reads a handle; further parts after the second are ignored. */
export function decodeHandle(handle: string): SnapshotHandle {
  const at = handle.indexOf('://');
  if (at < 0) return { kind: 'unknown' };
  const type = handle.slice(0, at);
  const rest = handle.slice(at + 3);
  if (type === 'bi') return { kind: 'bi', query: new URLSearchParams(rest.slice(rest.indexOf('?') + 1)) };
  const [volume = '', id = ''] = rest.split('/');
  if (!isVolumeId(volume) || objectNameProblem(id) !== null) return { kind: 'unknown' };
  if (type === 'snap') return { kind: 'snap', volume, snapshot: id };
  return type === 'bak' || type === 'bs' ? { kind: 'bak', volume, backup: id } : { kind: 'unknown' };
}

/** The handle of an in-cluster snapshot. */
export function snapHandle(volume: string, snapshot: string): string {
  return `snap://${volume}/${snapshot}`;
}

/**
 * The object name for the name that a caller chose. One that can be an object's name stays as it is; any other, of
 * which CSI allows all Unicode, becomes a readable part of it with a hash of the whole.
 */
export function snapshotObjectName(name: string): string {
  if (objectNameProblem(name) === null && name.length <= NAME_LENGTH_MAX) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_LENGTH);
  const readable = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, NAME_LENGTH_MAX - HASH_LENGTH - 1)
    .replaceAll(/^-+|-+$/g, '');
  return readable === '' ? `snapshot-${hash}` : `${readable}-${hash}`;
}
