/**
 * The header of a qcow2 image and the meaning of its table entries, big-endian. Pure.
 *
 *      0 magic  4 version  8 backing file offset  20 cluster bits  24 size  32 crypt method  36 L1 entries  40 L1 offset
 *     72 incompatible features (version 3)  100 header length  104 compression type
 *
 * Source: https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt
 */
import type { Buffer } from 'node:buffer';

export const QCOW2_MAGIC = 0x514649fb;
/** As much of the header as is looked at. */
export const QCOW2_HEADER_BYTES = 112;

const CLUSTER_BITS_MIN = 9;
const CLUSTER_BITS_MAX = 21;
/** QEMU's limit, too. */
const L1_BYTES_MAX = 32 << 20;
const ENTRY_BYTES = 8;

/** Incompatible features. An image that was not closed in order (1) may have wrong reference counts, which readers do not need. */
const DIRTY = 1;
const CORRUPT = 2;
const EXTERNAL_DATA = 4;
const COMPRESSION_TYPE = 8;
const EXTENDED_L2 = 16;

export interface Qcow2Header {
  readonly version: number;
  readonly clusterBytes: number;
  readonly clusterBits: number;
  /** what the guest sees */
  readonly virtualBytes: number;
  readonly l1Offset: number;
  readonly l1Entries: number;
}

/** Throws what keeps an image from being read, and what to do about it. */
export function parseQcow2Header(bytes: Buffer, length: number): Qcow2Header {
  if (length < 72 || bytes.readUInt32BE(0) !== QCOW2_MAGIC) throw new Error('it is no qcow2 image');
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new Error(`qcow2 version ${version} is not known: use 2 or 3`);
  if (version === 3 && length < QCOW2_HEADER_BYTES - 8) throw new Error('its header is cut off');
  const incompatible = version === 3 ? bytes.readUInt32BE(76) : 0;
  if (version === 3) checkFeatures(bytes.readUInt32BE(72), incompatible);
  if (bytes.readBigUInt64BE(8) !== 0n)
    throw new Error('it has a backing file of its own: make one image of both by qemu-img convert -O qcow2');
  if (bytes.readUInt32BE(32) !== 0) throw new Error('it is encrypted: decrypt it by qemu-img convert');
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX)
    throw new Error(`its clusters of 2^${clusterBits} bytes are not allowed: 2^9 to 2^21`);
  const clusterBytes = 2 ** clusterBits;
  const virtualBytes = Number(bytes.readBigUInt64BE(24));
  const l1Entries = bytes.readUInt32BE(36);
  const l1Offset = Number(bytes.readBigUInt64BE(40));
  const perTable = (clusterBytes / ENTRY_BYTES) * clusterBytes;
  if (!Number.isSafeInteger(virtualBytes) || l1Entries * ENTRY_BYTES > L1_BYTES_MAX)
    throw new Error(`its size of ${virtualBytes} bytes is too large`);
  if (l1Entries < Math.ceil(virtualBytes / perTable)) throw new Error('its first table is too short for its size');
  if (!Number.isSafeInteger(l1Offset) || l1Offset % clusterBytes !== 0) throw new Error('its first table is misplaced');
  return { version, clusterBytes, clusterBits, virtualBytes, l1Offset, l1Entries };
}

function checkFeatures(high: number, low: number): void {
  if ((low & CORRUPT) !== 0) throw new Error('it is marked as corrupt: repair it by qemu-img check -r all');
  if ((low & EXTERNAL_DATA) !== 0) throw new Error('its data is in another file: use qemu-img convert -O qcow2');
  if ((low & COMPRESSION_TYPE) !== 0)
    throw new Error('its compression is not zlib: use qemu-img convert -O qcow2 -o compression_type=zlib');
  if ((low & EXTENDED_L2) !== 0)
    throw new Error('it has subclusters: use qemu-img convert -O qcow2 -o extended_l2=off');
  if (high !== 0 || (low & ~DIRTY) !== 0)
    throw new Error('it has features that are not known: use qemu-img convert -O qcow2');
}

/** Where a cluster's content is. */
export type Qcow2Place =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'plain'; readonly offset: number }
  | { readonly kind: 'compressed'; readonly offset: number; readonly length: number };

const ZEROS: Qcow2Place = { kind: 'zeros' };
const COMPRESSED_HIGH = 0x4000_0000;

/** Offset of a table or cluster by bits 9 to 55 of an entry. */
function entryOffset(high: number, low: number): number {
  return (high & 0x00ff_ffff) * 2 ** 32 + ((low & ~511) >>> 0);
}

/** Offset of the second-level table by entry `index`; 0 = there is none. Throws for an offset within a cluster. */
export function l2TableOffset(l1: Buffer, index: number, header: Qcow2Header): number {
  const at = index * ENTRY_BYTES;
  return aligned(entryOffset(l1.readUInt32BE(at), l1.readUInt32BE(at + 4)), header, 'a table');
}

/** What entry `index` of a second-level table says. */
export function clusterPlace(l2: Buffer, index: number, header: Qcow2Header): Qcow2Place {
  const at = index * ENTRY_BYTES;
  const high = l2.readUInt32BE(at);
  const low = l2.readUInt32BE(at + 4);
  if ((high & COMPRESSED_HIGH) !== 0) return compressedPlace(l2.readBigUInt64BE(at), header.clusterBits);
  // The flag of version 3; with an offset it is a cluster that was allocated in advance.
  if (header.version === 3 && (low & 1) !== 0) return ZEROS;
  const offset = aligned(entryOffset(high, low), header, 'a cluster');
  return offset === 0 ? ZEROS : { kind: 'plain', offset };
}

function compressedPlace(entry: bigint, clusterBits: number): Qcow2Place {
  const split = BigInt(62 - (clusterBits - 8));
  const offset = Number(entry & ((1n << split) - 1n));
  if (!Number.isSafeInteger(offset)) throw new Error(`a compressed cluster is misplaced at ${offset}`);
  const sectors = Number((entry & ((1n << 62n) - 1n)) >> split) + 1;
  return { kind: 'compressed', offset, length: sectors * 512 - (offset % 512) };
}

function aligned(offset: number, { clusterBytes }: Qcow2Header, what: string): number {
  if (offset % clusterBytes !== 0 || !Number.isSafeInteger(offset))
    throw new Error(`${what} is misplaced at ${offset}`);
  return offset;
}
