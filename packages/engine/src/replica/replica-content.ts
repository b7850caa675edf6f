/** What engines ask about a replica's content to bring replicas in line: extents, hashes, and a sync of everything. */
import { createCipheriv, createHash } from 'node:crypto';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import {
  ALLOCATION_BYTES_MAX,
  ALLOCATION_RUNS_MAX,
  BLOCK_BYTES,
  RANGE_HASH_BYTES_MAX,
  RANGE_HASH_PIECE_BYTES,
  REGION_BYTES,
} from '../limits.ts';
import type { OpenReplica } from './open-replica.ts';
import { regionBitmapBytes } from './region-list.ts';
import type { ReplicaServer } from './replica-server.ts';
import { META_SUFFIX } from './snapshot-chain.ts';
import { yieldToOthers } from './volume.ts';

const HASH_BYTES = 16;
const KEY_BYTES = 16;
/** Of AES-GCM; a key is used for one comparison, and nothing is encrypted by it. */
const NO_NONCE = Buffer.alloc(12);
const REGION_BLOCKS = REGION_BYTES / BLOCK_BYTES;

function opened(server: ReplicaServer): OpenReplica {
  const { open } = server.io;
  if (open === null) throw rpcError(Code.FailedPrecondition, 'replica is not open');
  return open;
}

/**
 * Regions with data in the head or in removed layers right under it (unmap frees there), bit i of byte i>>3: where replicas may
 * differ after all of them have lost power.
 */
export function headExtents(server: ReplicaServer): Uint8Array {
  const { volume, isRemovable } = opened(server);
  const { index } = volume;
  const oldest = volume.oldestChanging(isRemovable);
  const bitmap = new Uint8Array(regionBitmapBytes(volume.sizeBytes));
  for (let block = 0; block < index.length;) {
    const end = index.runEnd(block, index.length);
    if (index.get(block) >= oldest) {
      const last = Math.floor((end - 1) / REGION_BLOCKS);
      for (let region = Math.floor(block / REGION_BLOCKS); region <= last; region++) {
        bitmap[region >>> 3] = (bitmap[region >>> 3] as number) | (1 << (region & 7));
      }
    }
    block = end;
  }
  return bitmap;
}

/**
 * What of a range some layer has data of: lengths in bytes, by turns of a hole (it reads as zeros; the first may be 0) and of data.
 * At most `runsMax` of them, so they may end before the range does.
 */
export function allocation(server: ReplicaServer, offset: number, length: number, runsMax: number): number[] {
  const { volume } = opened(server);
  checkCount('length', length, ALLOCATION_BYTES_MAX);
  checkCount('runsMax', runsMax, ALLOCATION_RUNS_MAX);
  checkRange(volume.sizeBytes, offset, length);
  const { index } = volume;
  const end = offset + length;
  const runs: number[] = [];
  let isData = false;
  for (let at = offset; at < end && runs.length < runsMax;) {
    const start = at;
    while (at < end && (index.get(Math.floor(at / BLOCK_BYTES)) !== 0) === isData) {
      at = Math.min(index.runEnd(Math.floor(at / BLOCK_BYTES), Math.ceil(end / BLOCK_BYTES)) * BLOCK_BYTES, end);
    }
    runs.push(at - start);
    isData = !isData;
  }
  return runs;
}

const outOfBounds = (field: string, value: number, rule: string): Error =>
  rpcError(Code.InvalidArgument, `${field} ${value}: ${rule}`);

function checkCount(field: string, value: number, most: number): void {
  if (value <= 0 || value > most) throw outOfBounds(field, value, `must be 1 to ${most}`);
}

function checkRange(sizeBytes: number, offset: number, length: number): void {
  if (offset < 0 || offset + length > sizeBytes)
    throw outOfBounds('offset', offset, `the range ends beyond the volume (${sizeBytes})`);
}

/** The hash of one block: its first `HASH_BYTES` count. */
type BlockHash = (block: Buffer) => Buffer;

const plainHash: BlockHash = (block) => createHash('sha256').update(block).digest();

/**
 * GMAC under a key that was chosen at random after the blocks were written: two that differ have the same with a probability of 2^-108
 * (1 MiB is 2^16 blocks of the polynomial), whoever wrote them. Of 1 MiB it takes an eighth of the time of SHA-256.
 */
function keyedHash(key: Uint8Array): BlockHash {
  return (block) => {
    const cipher = createCipheriv('aes-128-gcm', key, NO_NONCE);
    cipher.setAAD(block);
    cipher.final();
    return cipher.getAuthTag();
  };
}

function blockHash(key: Uint8Array): BlockHash {
  if (key.length === 0) return plainHash;
  if (key.length === KEY_BYTES) return keyedHash(key);
  throw outOfBounds('length of key', key.length, `must be ${KEY_BYTES}, or 0 for SHA-256`);
}

/**
 * A hash of 16 bytes for each block of the range, as reads return it; the last block may be short. With a key (16 bytes) GMAC, without
 * (none) the start of SHA-256.
 */
export async function rangeHash(
  server: ReplicaServer,
  offset: number,
  length: number,
  blockSize: number,
  key: Uint8Array,
): Promise<Buffer> {
  const { volume } = opened(server);
  checkCount('blockSize', blockSize, RANGE_HASH_PIECE_BYTES);
  checkCount('length', length, RANGE_HASH_BYTES_MAX);
  checkRange(volume.sizeBytes, offset, length);
  const hashes = Buffer.alloc(Math.ceil(length / blockSize) * HASH_BYTES);
  const hashOf = blockHash(key);
  const zeros = new ZeroHashes(hashOf);
  const pieceBytes = Math.floor(RANGE_HASH_PIECE_BYTES / blockSize) * blockSize;
  const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, length));
  let filled = 0;
  for (let at = 0; at < length; at += pieceBytes) {
    const count = Math.min(pieceBytes, length - at);
    const isHole = holdsNothing(opened(server), offset + at, count);
    if (!isHole) await readMerged(server, piece, count, offset + at);
    for (let start = 0; start < count; start += blockSize) {
      const block = piece.subarray(start, Math.min(start + blockSize, count));
      const hash = isHole ? zeros.of(block.length) : hashOf(block);
      hash.copy(hashes, filled, 0, HASH_BYTES);
      filled += HASH_BYTES;
    }
    await yieldToOthers();
  }
  return hashes;
}

/** No layer has data in the range: it reads as zeros, which need not be read. */
function holdsNothing({ volume }: OpenReplica, offset: number, length: number): boolean {
  const first = Math.floor(offset / BLOCK_BYTES);
  const end = Math.ceil((offset + length) / BLOCK_BYTES);
  return volume.index.get(first) === 0 && volume.index.runEnd(first, end) >= end;
}

/** Hashes of zeros by length; a range has at most two lengths of blocks. */
class ZeroHashes {
  private readonly known = new Map<number, Buffer>();
  private readonly hashOf: BlockHash;

  constructor(hashOf: BlockHash) {
    this.hashOf = hashOf;
  }

  of(length: number): Buffer {
    let hash = this.known.get(length);
    if (hash === undefined) {
      hash = this.hashOf(Buffer.alloc(length));
      this.known.set(length, hash);
    }
    return hash;
  }
}

async function readMerged(server: ReplicaServer, into: Buffer, length: number, offset: number): Promise<void> {
  const { gate } = server.io;
  await gate.enterWhenOpen();
  try {
    await opened(server).volume.read(into, 0, length, offset);
  } finally {
    gate.leave();
  }
}

/** Every layer, every meta and the folder are on stable storage when this is done. */
export async function syncEverything(server: ReplicaServer): Promise<void> {
  const replica = opened(server);
  await server.io.flush();
  const { folder } = replica;
  for (const name of replica.disks.keys()) {
    for (const file of [name, `${name}${META_SUFFIX}`]) {
      const opening = await folder.open(file, 'read');
      try {
        await opening.sync();
      } finally {
        await opening.close();
      }
    }
  }
  await folder.sync();
}
