/** Every command but plain READ, WRITE and SYNCHRONIZE CACHE, which a connection serves itself. */
import { Buffer } from 'node:buffer';
import { READ_CAPACITY_16, REPORT_SUPPORTED_OPCODES, SCSI, SENSE, senseData } from '../../protocol/scsi.ts';
import { compareAndWrite, orWrite, prefetch, unmap, verify, writeAndVerify, writeSame } from './block-commands.ts';
import { type CommandResult, done, failed } from './command-result.ts';
import { inquiry } from './inquiry.ts';
import { ISCSI_LUN, PHYSICAL_BYTES, SECTOR_BYTES } from './limits.ts';
import type { LogicalUnit, Nexus } from './logical-unit.ts';
import { modeSense } from './mode-pages.ts';
import type { Access } from './reservations.ts';
import { reportSupportedCommands } from './supported-commands.ts';

/** A command is told a pending unit attention instead of being done, but for these. */
export const ignoresAttention = (opcode: number): boolean =>
  opcode === SCSI.INQUIRY || opcode === SCSI.REPORT_LUNS || opcode === SCSI.REQUEST_SENSE;

/** What a command does to the disk, for reservations. */
export function accessOf(opcode: number): Access {
  switch (opcode) {
    case SCSI.INQUIRY:
    case SCSI.REPORT_LUNS:
    case SCSI.REQUEST_SENSE:
    case SCSI.RESERVE_6:
    case SCSI.RELEASE_6:
    case SCSI.PERSISTENT_RESERVE_OUT:
      return 'any';
    case SCSI.TEST_UNIT_READY:
    case SCSI.READ_CAPACITY_10:
    case SCSI.SERVICE_ACTION_IN_16:
    case SCSI.PERSISTENT_RESERVE_IN:
    case SCSI.MAINTENANCE_IN:
    case SCSI.START_STOP_UNIT:
      return 'ready';
    case SCSI.MODE_SENSE_6:
    case SCSI.MODE_SENSE_10:
      return 'settings';
    case SCSI.READ_6:
    case SCSI.READ_10:
    case SCSI.READ_12:
    case SCSI.READ_16:
    case SCSI.VERIFY_10:
    case SCSI.VERIFY_12:
    case SCSI.VERIFY_16:
    case SCSI.PREFETCH_10:
    case SCSI.PREFETCH_16:
      return 'read';
    default:
      return 'write';
  }
}

/** Commands at LUN 0, which has no blocks, and at LUNs that do not exist. */
export function executeElsewhere(unit: LogicalUnit, lun: number, cdb: Buffer): CommandResult {
  switch (cdb[0] as number) {
    case SCSI.INQUIRY:
      return inquiry(cdb, lun, unit.targetName);
    case SCSI.REPORT_LUNS:
      return reportLuns(cdb);
    case SCSI.REQUEST_SENSE:
      return done(senseData(lun === 0 ? SENSE.NONE : SENSE.LUN_NOT_SUPPORTED).subarray(0, cdb[4]));
    case SCSI.TEST_UNIT_READY:
      return lun === 0 ? done() : failed(SENSE.LUN_NOT_SUPPORTED);
    default:
      return failed(lun === 0 ? SENSE.INVALID_OPCODE : SENSE.LUN_NOT_SUPPORTED);
  }
}

/** A command at the disk. `data` is what the initiator sent; it stays as it is until the command has ended. */
export function execute(
  unit: LogicalUnit,
  nexus: Nexus,
  cdb: Buffer,
  data: Buffer,
): CommandResult | Promise<CommandResult> {
  switch (cdb[0] as number) {
    case SCSI.TEST_UNIT_READY:
      return done();
    case SCSI.REQUEST_SENSE:
      return requestSense(nexus, cdb);
    case SCSI.INQUIRY:
      return inquiry(cdb, ISCSI_LUN, unit.targetName);
    case SCSI.REPORT_LUNS:
      return reportLuns(cdb);
    case SCSI.READ_CAPACITY_10:
      return readCapacity10(unit, cdb);
    case SCSI.SERVICE_ACTION_IN_16:
      return readCapacity16(unit, cdb);
    case SCSI.MODE_SENSE_6:
    case SCSI.MODE_SENSE_10:
      return modeSense(cdb, unit.target.sizeBytes());
    case SCSI.START_STOP_UNIT:
      return startStop(cdb);
    case SCSI.MAINTENANCE_IN:
      return ((cdb[1] as number) & 0x1f) === REPORT_SUPPORTED_OPCODES
        ? reportSupportedCommands(cdb)
        : failed(SENSE.INVALID_FIELD_IN_CDB);
    case SCSI.RESERVE_6:
    case SCSI.RELEASE_6:
      // Third parties and extents are long gone.
      if (((cdb[1] as number) & 0x1f) !== 0) return failed(SENSE.INVALID_FIELD_IN_CDB);
      return cdb[0] === SCSI.RESERVE_6 ? unit.reservations.reserve6(nexus.id) : unit.reservations.release6(nexus.id);
    case SCSI.PERSISTENT_RESERVE_IN:
      return reserveIn(unit, cdb);
    case SCSI.PERSISTENT_RESERVE_OUT:
      return reserveOut(unit, nexus, cdb, data);
    default:
      return executeBlocks(unit, cdb, data);
  }
}

function executeBlocks(unit: LogicalUnit, cdb: Buffer, data: Buffer): CommandResult | Promise<CommandResult> {
  switch (cdb[0] as number) {
    case SCSI.COMPARE_AND_WRITE:
      return compareAndWrite(unit, cdb, data);
    case SCSI.ORWRITE:
      return orWrite(unit, cdb, data);
    case SCSI.VERIFY_10:
    case SCSI.VERIFY_12:
    case SCSI.VERIFY_16:
      return verify(unit, cdb, data);
    case SCSI.WRITE_VERIFY_10:
    case SCSI.WRITE_VERIFY_12:
    case SCSI.WRITE_VERIFY_16:
      return writeAndVerify(unit, cdb, data);
    case SCSI.WRITE_SAME_10:
    case SCSI.WRITE_SAME_16:
      return writeSame(unit, cdb, data);
    case SCSI.UNMAP:
      return unmap(unit, cdb, data);
    case SCSI.PREFETCH_10:
    case SCSI.PREFETCH_16:
      return prefetch(unit, cdb);
    default:
      return failed(SENSE.INVALID_OPCODE);
  }
}

function requestSense(nexus: Nexus, cdb: Buffer): CommandResult {
  if (((cdb[1] as number) & 0x01) !== 0) return failed(SENSE.INVALID_FIELD_IN_CDB);
  return done(senseData(nexus.attentions.shift() ?? SENSE.NONE).subarray(0, cdb[4]));
}

function reportLuns(cdb: Buffer): CommandResult {
  const selected = cdb[2] as number;
  const allocated = cdb.readUInt32BE(6);
  if (selected > 2 || allocated < 16) return failed(SENSE.INVALID_FIELD_IN_CDB);
  // 1: well known logical units alone, of which there are none.
  const luns = selected === 1 ? [] : [0, ISCSI_LUN];
  const data = Buffer.alloc(8 + 8 * luns.length);
  data.writeUInt32BE(8 * luns.length, 0);
  for (const [i, lun] of luns.entries()) data.writeUInt16BE(lun, 8 + 8 * i);
  return done(data.subarray(0, allocated));
}

function readCapacity10(unit: LogicalUnit, cdb: Buffer): CommandResult {
  const isPartial = ((cdb[8] as number) & 0x01) !== 0;
  if (isPartial || cdb.readUInt32BE(2) !== 0) return failed(SENSE.INVALID_FIELD_IN_CDB);
  const data = Buffer.alloc(8);
  data.writeUInt32BE(Math.min(unit.blocks - 1, 0xffffffff), 0);
  data.writeUInt32BE(SECTOR_BYTES, 4);
  return done(data);
}

function readCapacity16(unit: LogicalUnit, cdb: Buffer): CommandResult {
  if (((cdb[1] as number) & 0x1f) !== READ_CAPACITY_16) return failed(SENSE.INVALID_FIELD_IN_CDB);
  const data = Buffer.alloc(32);
  data.writeBigUInt64BE(BigInt(unit.blocks - 1), 0);
  data.writeUInt32BE(SECTOR_BYTES, 8);
  data[13] = Math.log2(PHYSICAL_BYTES / SECTOR_BYTES);
  // Thin: UNMAP is there.
  data[14] = 0x80;
  return done(data.subarray(0, cdb.readUInt32BE(10)));
}

/** The disk is always on, and cannot be ejected. */
function startStop(cdb: Buffer): CommandResult {
  const flags = cdb[4] as number;
  const ejects = (flags & 0x02) !== 0;
  return ejects ? failed(SENSE.INVALID_FIELD_IN_CDB) : done();
}

function reserveIn(unit: LogicalUnit, cdb: Buffer): CommandResult {
  const data = unit.reservations.readIn((cdb[1] as number) & 0x1f);
  return data === null ? failed(SENSE.INVALID_FIELD_IN_CDB) : done(data.subarray(0, cdb.readUInt16BE(7)));
}

const PREEMPT_AND_ABORT = 5;

/** PREEMPT AND ABORT answers once no task of those it has preempted can change anything any more. */
function reserveOut(
  unit: LogicalUnit,
  nexus: Nexus,
  cdb: Buffer,
  data: Buffer,
): CommandResult | Promise<CommandResult> {
  const takesBytes = cdb.readUInt32BE(5);
  const removed: string[] = [];
  const result = { ...unit.reservations.writeOut(nexus, cdb, data, removed), takesBytes };
  if (((cdb[1] as number) & 0x1f) !== PREEMPT_AND_ABORT || removed.length === 0) return result;
  const theirs = [...unit.connections].filter((one) => one.nexus !== null && removed.includes(one.nexus.id));
  return new Promise((resolve) => unit.abortTasksOf(theirs, () => resolve(result)));
}
