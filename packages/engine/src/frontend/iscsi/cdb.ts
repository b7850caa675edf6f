/** Fields of commands that name a range of blocks; where they lie follows from the group of the opcode. */
import type { Buffer } from 'node:buffer';
import { SCSI } from '../../protocol/scsi.ts';

const GROUP_6 = 0;
const GROUP_16 = 4;
const GROUP_12 = 5;

const groupOf = (from: Buffer, at: number): number => (from[at] as number) >> 5;

/** First block. */
export function cdbLba(from: Buffer, at: number): number {
  const group = groupOf(from, at);
  if (group === GROUP_6) return from.readUIntBE(at + 1, 3) & 0x1fffff;
  if (group === GROUP_16) return from.readUInt32BE(at + 2) * 0x1_0000_0000 + from.readUInt32BE(at + 6);
  return from.readUInt32BE(at + 2);
}

/** Number of blocks. */
export function cdbBlocks(from: Buffer, at: number): number {
  if (from[at] === SCSI.COMPARE_AND_WRITE) return from[at + 13] as number;
  const group = groupOf(from, at);
  if (group === GROUP_6) return from[at + 4] === 0 ? 256 : (from[at + 4] as number);
  if (group === GROUP_16) return from.readUInt32BE(at + 10);
  if (group === GROUP_12) return from.readUInt32BE(at + 6);
  return from.readUInt16BE(at + 7);
}

/** Protection information is asked for, which the disk does not have. */
export const cdbProtects = (from: Buffer, at: number): boolean =>
  groupOf(from, at) !== GROUP_6 && ((from[at + 1] as number) & 0xe0) !== 0;

export const cdbIsFua = (from: Buffer, at: number): boolean =>
  groupOf(from, at) !== GROUP_6 && ((from[at + 1] as number) & 0x08) !== 0;
