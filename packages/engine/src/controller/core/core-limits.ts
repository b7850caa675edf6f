/** Limits of the data path; the relations between them are asserted when the module is loaded. */
import assert from 'node:assert/strict';
import { BLOCK_BYTES, REGION_BYTES } from '../../limits.ts';
import { FRAME_HEADER_BYTES } from '../../protocol/replica-frame.ts';

export interface CoreLimits {
  /** Operations that the core knows at a time, waiting ones included; also the slots of a sequence number. */
  readonly operationsMax: number;
  /** Members, failed and not yet released ones included; one bit each in a mask. */
  readonly membersMax: number;
  /** Copies between members at a time (settling, bringing in line). */
  readonly copiesMax: number;
  /** Bytes of one copy between members. */
  readonly copyBytesMax: number;
  /** Payloads up to this size are gathered with their headers into one buffer; larger ones are sent from where they lie. */
  readonly gatherPayloadMax: number;
  /** Bytes of one gather buffer. */
  readonly gatherBufferBytes: number;
  /** An unmap is sent in pieces of at most this, so that none of them runs into the timeout: over snapshots it writes zeros. */
  readonly unmapPieceBytes: number;
  /** Reads that go to one remote member before another is chosen: neighbours of one wake-up share a socket write. */
  readonly readRunMax: number;
}

/** A sequence number is 12 bits of slot and 20 bits of generation. */
export const SEQ_SLOT_BITS = 12;
export const SEQ_SLOT_MASK = (1 << SEQ_SLOT_BITS) - 1;

/** Doubt is kept per region, as the replicas keep their region lists; writes to a joining member are made of whole blocks. */
export { BLOCK_BYTES, REGION_BYTES };

export const CORE_LIMITS: CoreLimits = {
  operationsMax: 4095,
  membersMax: 24,
  copiesMax: 16,
  copyBytesMax: 1 << 20,
  gatherPayloadMax: 16 << 10,
  gatherBufferBytes: 512 << 10,
  unmapPieceBytes: 32 << 20,
  readRunMax: 8,
};

/** Slot 0 is the link's own (pings). */
export function slotOfSeq(seq: number): number {
  return seq & SEQ_SLOT_MASK;
}

assert(CORE_LIMITS.operationsMax <= SEQ_SLOT_MASK, 'every slot but 0 fits the bits of a sequence number');
assert(CORE_LIMITS.membersMax <= 31, 'a member is one bit of a 32 bit mask');
assert(
  CORE_LIMITS.gatherBufferBytes >= 2 * (CORE_LIMITS.gatherPayloadMax + FRAME_HEADER_BYTES),
  'a gather buffer has room for a gathered payload',
);
assert(
  CORE_LIMITS.copyBytesMax >= REGION_BYTES && CORE_LIMITS.copyBytesMax % REGION_BYTES === 0,
  'a copy holds whole regions',
);
