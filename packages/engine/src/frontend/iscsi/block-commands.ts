/**
 * Commands on blocks beside plain reads and writes. Those that change blocks have their range to themselves meanwhile: COMPARE
 * AND WRITE and ORWRITE are atomic against every connection.
 */
import { Buffer } from 'node:buffer';
import { SCSI, SENSE } from '../../protocol/scsi.ts';
import { cdbBlocks, cdbIsFua, cdbLba, cdbProtects } from './cdb.ts';
import { type CommandResult, done, failed, senseOfErrno } from './command-result.ts';
import {
  COMPARE_BLOCKS_MAX,
  ISCSI_TRANSFER_MAX,
  JOB_PIECE_BYTES,
  SECTOR_BYTES,
  UNMAP_BYTES_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from './limits.ts';
import type { LogicalUnit } from './logical-unit.ts';

const INVALID = failed(SENSE.INVALID_FIELD_IN_CDB);

/** Runs `work` while nobody else writes the range. */
async function alone(
  unit: LogicalUnit,
  offset: number,
  length: number,
  work: () => Promise<CommandResult>,
): Promise<CommandResult> {
  const lock = await unit.locks.lock(offset, offset + length);
  try {
    return await work();
  } finally {
    unit.locks.unlock(lock);
  }
}

/** Why the range of a command is refused; null = it is fine. */
function rangeProblem(unit: LogicalUnit, cdb: Buffer): CommandResult | null {
  if (cdbProtects(cdb, 0)) return INVALID;
  return unit.has(cdbLba(cdb, 0), cdbBlocks(cdb, 0)) ? null : failed(SENSE.LBA_OUT_OF_RANGE);
}

/** What the data of a command must be, for the range of its CDB; null = it is. */
function dataProblem(data: Buffer, takesBytes: number): CommandResult | null {
  if (takesBytes > ISCSI_TRANSFER_MAX) return failed(SENSE.INVALID_FIELD_IN_CDB, takesBytes);
  return data.length < takesBytes ? failed(SENSE.INVALID_FIELD_IN_UNIT, takesBytes) : null;
}

export async function compareAndWrite(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const length = cdbBlocks(cdb, 0) * SECTOR_BYTES;
  const problem = rangeProblem(unit, cdb) ?? dataProblem(data, 2 * length);
  if (problem !== null) return problem;
  // Both halves, neither more nor less: with a length that is not sure, nothing is compared.
  if (data.length > 2 * length || cdbBlocks(cdb, 0) > COMPARE_BLOCKS_MAX)
    return failed(SENSE.INVALID_FIELD_IN_CDB, 2 * length);
  if (length === 0) return done();
  const offset = cdbLba(cdb, 0) * SECTOR_BYTES;
  return alone(unit, offset, length, async () => {
    const found = Buffer.allocUnsafeSlow(length);
    const readErrno = await unit.io.read(offset, found);
    if (readErrno !== 0) return failed(senseOfErrno(readErrno, true), 2 * length);
    const differs = firstDifference(found, data.subarray(0, length));
    if (differs >= 0) return failed(SENSE.MISCOMPARE, 2 * length, differs);
    const errno = await unit.io.write(offset, data.subarray(length, 2 * length), cdbIsFua(cdb, 0));
    return errno === 0 ? done(undefined, 2 * length) : failed(senseOfErrno(errno, false), 2 * length);
  });
}

function firstDifference(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return -1;
  return a.findIndex((byte, i) => byte !== b[i]);
}

export async function orWrite(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const length = cdbBlocks(cdb, 0) * SECTOR_BYTES;
  const problem = rangeProblem(unit, cdb) ?? dataProblem(data, length);
  if (problem !== null || length === 0) return problem ?? done();
  const offset = cdbLba(cdb, 0) * SECTOR_BYTES;
  return alone(unit, offset, length, async () => {
    for (let at = 0; at < length; at += JOB_PIECE_BYTES) {
      const piece = Buffer.allocUnsafeSlow(Math.min(JOB_PIECE_BYTES, length - at));
      const readErrno = await unit.io.read(offset + at, piece);
      if (readErrno !== 0) return failed(senseOfErrno(readErrno, true), length);
      for (let i = 0; i < piece.length; i++) piece[i] = (piece[i] as number) | (data[at + i] as number);
      const errno = await unit.io.write(offset + at, piece, cdbIsFua(cdb, 0));
      if (errno !== 0) return failed(senseOfErrno(errno, false), length);
    }
    return done(undefined, length);
  });
}

/** VERIFY: with BYTCHK 0 that the blocks can be read, with 1 that they are the data, with 3 that each is the one block of data. */
export async function verify(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const length = cdbBlocks(cdb, 0) * SECTOR_BYTES;
  const check = ((cdb[1] as number) >> 1) & 3;
  if (check === 2) return INVALID;
  const takes = check === 0 ? 0 : check === 1 ? length : Math.min(length, SECTOR_BYTES);
  const problem = rangeProblem(unit, cdb) ?? dataProblem(data, takes);
  if (problem !== null) return problem;
  return verifyBlocks(unit, cdbLba(cdb, 0) * SECTOR_BYTES, length, check === 0 ? null : data.subarray(0, takes));
}

async function verifyBlocks(
  unit: LogicalUnit,
  offset: number,
  length: number,
  data: Buffer | null,
): Promise<CommandResult> {
  const takes = data?.length ?? 0;
  for (let at = 0; at < length; at += JOB_PIECE_BYTES) {
    const piece = Buffer.allocUnsafeSlow(Math.min(JOB_PIECE_BYTES, length - at));
    const errno = await unit.io.read(offset + at, piece);
    if (errno !== 0) return failed(senseOfErrno(errno, true), takes);
    if (data === null) continue;
    const wanted =
      takes === length ? data.subarray(at, at + piece.length) : Buffer.alloc(piece.length, data.subarray(0, takes));
    const differs = firstDifference(piece, wanted);
    if (differs >= 0) return failed(SENSE.MISCOMPARE, takes, at + differs);
  }
  return done(undefined, takes);
}

/** WRITE AND VERIFY: the data is on stable storage before it is read back, and with BYTCHK compared. */
export async function writeAndVerify(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const takes = cdbBlocks(cdb, 0) * SECTOR_BYTES;
  const check = ((cdb[1] as number) >> 1) & 3;
  if (check > 1) return INVALID;
  const problem = rangeProblem(unit, cdb);
  if (problem !== null) return problem;
  if (takes > ISCSI_TRANSFER_MAX) return INVALID;
  const length = Math.min(takes, data.length);
  if (length === 0) return done(undefined, takes);
  const offset = cdbLba(cdb, 0) * SECTOR_BYTES;
  return alone(unit, offset, length, async () => {
    const errno = await unit.io.write(offset, data.subarray(0, length), true);
    if (errno !== 0) return failed(senseOfErrno(errno, false), takes);
    const result = await verifyBlocks(unit, offset, length, check === 0 ? null : data.subarray(0, length));
    return { ...result, takesBytes: takes };
  });
}

/**
 * WRITE SAME. The block is written also when the UNMAP bit is set: what is unmapped is not promised to read as zeros, so
 * writing is the one way that always keeps the command's promise.
 */
export async function writeSame(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const flags = cdb[1] as number;
  const hasNoData = cdb[0] === SCSI.WRITE_SAME_16 && (flags & 0x01) !== 0;
  const isAnchored = (flags & 0x10) !== 0;
  const isObsolete = (flags & 0x06) !== 0;
  const length = cdbBlocks(cdb, 0) * SECTOR_BYTES;
  const takes = hasNoData ? 0 : SECTOR_BYTES;
  if (isAnchored || isObsolete) return INVALID;
  const problem = rangeProblem(unit, cdb);
  if (problem !== null) return problem;
  if (length === 0 || length > WRITE_SAME_BYTES_MAX) return INVALID;
  // One block, neither more nor less.
  if (data.length !== takes)
    return failed(data.length < takes ? SENSE.INVALID_FIELD_IN_UNIT : SENSE.INVALID_FIELD_IN_CDB, takes);
  const offset = cdbLba(cdb, 0) * SECTOR_BYTES;
  return alone(unit, offset, length, async () => {
    const pattern = Buffer.alloc(Math.min(length, JOB_PIECE_BYTES), hasNoData ? 0 : data);
    for (let at = 0; at < length; at += pattern.length) {
      const errno = await unit.io.write(offset + at, pattern.subarray(0, Math.min(pattern.length, length - at)), false);
      if (errno !== 0) return failed(senseOfErrno(errno, false), takes);
    }
    return done(undefined, takes);
  });
}

const DESCRIPTOR_BYTES = 16;
const DESCRIPTORS_AT = 8;

/** UNMAP: all ranges are checked before the first is unmapped. */
export async function unmap(unit: LogicalUnit, cdb: Buffer, data: Buffer): Promise<CommandResult> {
  const takes = cdb.readUInt16BE(7);
  if (((cdb[1] as number) & 0x01) !== 0) return INVALID;
  if (takes === 0) return done();
  if (data.length < takes) return failed(SENSE.INVALID_FIELD_IN_UNIT, takes);
  if (takes < DESCRIPTORS_AT) return failed(SENSE.PARAMETER_LIST_LENGTH, takes);
  const listed = Math.min(data.readUInt16BE(2), takes - DESCRIPTORS_AT);
  const count = Math.floor(listed / DESCRIPTOR_BYTES);
  if (count > UNMAP_DESCRIPTORS_MAX) return failed(SENSE.INVALID_FIELD_IN_PARAMETERS, takes);
  const ranges: { offset: number; length: number }[] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    const at = DESCRIPTORS_AT + i * DESCRIPTOR_BYTES;
    const lba = data.readUInt32BE(at) * 0x1_0000_0000 + data.readUInt32BE(at + 4);
    const blocks = data.readUInt32BE(at + 8);
    if (!unit.has(lba, blocks)) return failed(SENSE.LBA_OUT_OF_RANGE, takes);
    total += blocks * SECTOR_BYTES;
    if (blocks > 0) ranges.push({ offset: lba * SECTOR_BYTES, length: blocks * SECTOR_BYTES });
  }
  if (total > UNMAP_BYTES_MAX) return failed(SENSE.INVALID_FIELD_IN_PARAMETERS, takes);
  for (const { offset, length } of ranges) {
    const result = await alone(unit, offset, length, async () => {
      const errno = await unit.io.unmap(offset, length);
      return errno === 0 ? done(undefined, takes) : failed(SENSE.INTERNAL_FAILURE, takes);
    });
    if (result.sense !== SENSE.NONE) return result;
  }
  return done(undefined, takes);
}

/** PRE-FETCH: nothing to do but to judge the range. */
export const prefetch = (unit: LogicalUnit, cdb: Buffer): CommandResult =>
  unit.has(cdbLba(cdb, 0), cdbBlocks(cdb, 0)) ? done() : failed(SENSE.LBA_OUT_OF_RANGE);
