/**
 * iSCSI PDUs (RFC 7143): headers are read and written in place.
 *
 *     0       opcode, bit 6 = immediate     16..19  initiator task tag
 *     1       flags                         20..23  target transfer tag, or expected length of a command
 *     4       AHS length in words           24..27  CmdSN   | StatSN
 *     5..7    data length                   28..31  ExpStatSN | ExpCmdSN
 *     8..15   LUN                           32..47  by opcode (MaxCmdSN at 32 of all that a target sends)
 */
import type { Buffer } from 'node:buffer';

export const PDU_HEADER_BYTES = 48;
export const DIGEST_BYTES = 4;
export const NO_TAG = 0xffffffff;

// What initiators send
export const OP_NOP_OUT = 0x00;
export const OP_SCSI_COMMAND = 0x01;
export const OP_TASK_MANAGEMENT = 0x02;
export const OP_LOGIN = 0x03;
export const OP_TEXT = 0x04;
export const OP_DATA_OUT = 0x05;
export const OP_LOGOUT = 0x06;
export const OP_SNACK = 0x10;
// What targets send
export const OP_NOP_IN = 0x20;
export const OP_SCSI_RESPONSE = 0x21;
export const OP_TASK_MANAGEMENT_RESPONSE = 0x22;
export const OP_LOGIN_RESPONSE = 0x23;
export const OP_TEXT_RESPONSE = 0x24;
export const OP_DATA_IN = 0x25;
export const OP_LOGOUT_RESPONSE = 0x26;
export const OP_R2T = 0x31;
export const OP_REJECT = 0x3f;

export const IMMEDIATE = 0x40;
export const FINAL = 0x80;

// Flags of a SCSI command
export const COMMAND_READ = 0x40;
export const COMMAND_WRITE = 0x20;
// Flags of a SCSI response and of Data-In
export const RESIDUAL_OVERFLOW = 0x04;
export const RESIDUAL_UNDERFLOW = 0x02;
export const DATA_IN_STATUS = 0x01;
// Flags of login and text
export const TEXT_CONTINUES = 0x40;

export const REJECT_DATA_DIGEST = 0x02;
export const REJECT_PROTOCOL_ERROR = 0x04;
export const REJECT_NOT_SUPPORTED = 0x05;
export const REJECT_INVALID_PDU_FIELD = 0x09;

export const TMF_ABORT_TASK = 1;
export const TMF_ABORT_TASK_SET = 2;
export const TMF_CLEAR_ACA = 3;
export const TMF_CLEAR_TASK_SET = 4;
export const TMF_LOGICAL_UNIT_RESET = 5;
export const TMF_TARGET_WARM_RESET = 6;
export const TMF_TARGET_COLD_RESET = 7;
export const TMF_COMPLETE = 0;
export const TMF_NO_SUCH_TASK = 1;
export const TMF_NO_SUCH_LUN = 2;
export const TMF_NOT_SUPPORTED = 5;

export const pduOpcode = (from: Buffer, at: number): number => (from[at] as number) & 0x3f;
export const pduIsImmediate = (from: Buffer, at: number): boolean => ((from[at] as number) & IMMEDIATE) !== 0;
export const pduFlags = (from: Buffer, at: number): number => from[at + 1] as number;
export const pduAhsBytes = (from: Buffer, at: number): number => (from[at + 4] as number) * 4;
export const pduDataBytes = (from: Buffer, at: number): number => from.readUIntBE(at + 5, 3);
export const pduTaskTag = (from: Buffer, at: number): number => from.readUInt32BE(at + 16);
export const pduTransferTag = (from: Buffer, at: number): number => from.readUInt32BE(at + 20);
/** Expected data transfer length of a SCSI command. */
export const pduExpectedBytes = (from: Buffer, at: number): number => from.readUInt32BE(at + 20);
export const pduCmdSn = (from: Buffer, at: number): number => from.readUInt32BE(at + 24);
/** DataSN and offset of Data-Out. */
export const pduDataSn = (from: Buffer, at: number): number => from.readUInt32BE(at + 36);
export const pduBufferOffset = (from: Buffer, at: number): number => from.readUInt32BE(at + 40);

export const padded = (bytes: number): number => (bytes + 3) & ~3;

/** The logical unit of a header, by the peripheral and the flat method; -1 for others. */
export function pduLun(from: Buffer, at: number): number {
  const method = (from[at + 8] as number) >> 6;
  if (method > 1 || from.readUInt32BE(at + 12) !== 0 || from.readUInt16BE(at + 10) !== 0) return -1;
  if (method === 0 && from[at + 8] !== 0) return -1;
  return from.readUInt16BE(at + 8) & 0x3fff;
}

/** `a` comes before `b` in serial number order. */
export const serialBefore = (a: number, b: number): boolean => ((a - b) | 0) < 0;

/** Starts a header: all zeros but these; the caller writes what else its opcode has. */
export function startPdu(
  into: Buffer,
  at: number,
  opcode: number,
  flags: number,
  dataBytes: number,
  taskTag: number,
): void {
  into.fill(0, at, at + PDU_HEADER_BYTES);
  into[at] = opcode;
  into[at + 1] = flags;
  into.writeUIntBE(dataBytes, at + 5, 3);
  into.writeUInt32BE(taskTag, at + 16);
}
