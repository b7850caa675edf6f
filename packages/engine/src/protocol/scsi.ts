/** SCSI commands, status and sense as far as a disk has them (SPC-4, SBC-3). */
import { Buffer } from 'node:buffer';

export const SCSI = {
  TEST_UNIT_READY: 0x00,
  REQUEST_SENSE: 0x03,
  READ_6: 0x08,
  WRITE_6: 0x0a,
  INQUIRY: 0x12,
  MODE_SELECT_6: 0x15,
  RESERVE_6: 0x16,
  RELEASE_6: 0x17,
  MODE_SENSE_6: 0x1a,
  START_STOP_UNIT: 0x1b,
  PREVENT_ALLOW: 0x1e,
  READ_CAPACITY_10: 0x25,
  READ_10: 0x28,
  WRITE_10: 0x2a,
  WRITE_VERIFY_10: 0x2e,
  VERIFY_10: 0x2f,
  PREFETCH_10: 0x34,
  SYNCHRONIZE_CACHE_10: 0x35,
  WRITE_SAME_10: 0x41,
  UNMAP: 0x42,
  MODE_SELECT_10: 0x55,
  MODE_SENSE_10: 0x5a,
  PERSISTENT_RESERVE_IN: 0x5e,
  PERSISTENT_RESERVE_OUT: 0x5f,
  READ_16: 0x88,
  COMPARE_AND_WRITE: 0x89,
  WRITE_16: 0x8a,
  ORWRITE: 0x8b,
  WRITE_VERIFY_16: 0x8e,
  VERIFY_16: 0x8f,
  PREFETCH_16: 0x90,
  SYNCHRONIZE_CACHE_16: 0x91,
  WRITE_SAME_16: 0x93,
  SERVICE_ACTION_IN_16: 0x9e,
  REPORT_LUNS: 0xa0,
  MAINTENANCE_IN: 0xa3,
  READ_12: 0xa8,
  WRITE_12: 0xaa,
  WRITE_VERIFY_12: 0xae,
  VERIFY_12: 0xaf,
} as const;

/** Service actions. */
export const READ_CAPACITY_16 = 0x10;
export const REPORT_SUPPORTED_OPCODES = 0x0c;

export const STATUS_GOOD = 0x00;
export const STATUS_CHECK_CONDITION = 0x02;
export const STATUS_RESERVATION_CONFLICT = 0x18;
export const STATUS_TASK_SET_FULL = 0x28;

/** Sense key, additional code and its qualifier, as `0xKKAAQQ`. */
export const SENSE = {
  NONE: 0x00_00_00,
  MEDIUM_READ_ERROR: 0x03_11_00,
  MEDIUM_WRITE_ERROR: 0x03_0c_00,
  INTERNAL_FAILURE: 0x04_44_00,
  PARAMETER_LIST_LENGTH: 0x05_1a_00,
  INVALID_OPCODE: 0x05_20_00,
  LBA_OUT_OF_RANGE: 0x05_21_00,
  INVALID_FIELD_IN_CDB: 0x05_24_00,
  LUN_NOT_SUPPORTED: 0x05_25_00,
  INVALID_FIELD_IN_PARAMETERS: 0x05_26_00,
  INVALID_RELEASE: 0x05_26_04,
  INVALID_FIELD_IN_UNIT: 0x05_0e_03,
  INSUFFICIENT_REGISTRATION: 0x05_55_04,
  REMOVAL_PREVENTED: 0x05_53_02,
  POWER_ON: 0x06_29_00,
  RESET_OCCURRED: 0x06_29_03,
  NEXUS_LOSS: 0x06_29_07,
  MODE_CHANGED: 0x06_2a_01,
  RESERVATIONS_PREEMPTED: 0x06_2a_03,
  RESERVATIONS_RELEASED: 0x06_2a_04,
  REGISTRATIONS_PREEMPTED: 0x06_2a_05,
  CAPACITY_CHANGED: 0x06_2a_09,
  SPACE_ALLOCATION_FAILED: 0x07_27_07,
  WRITE_PROTECTED: 0x07_27_00,
  DATA_OUT_OF_ORDER: 0x0b_47_05,
  MISCOMPARE: 0x0e_1d_00,
} as const;

export const SENSE_BYTES = 18;

/** Writes fixed format sense data; `information` null = none. */
export function writeSense(into: Buffer, at: number, sense: number, information: number | null): void {
  into.fill(0, at, at + SENSE_BYTES);
  into[at] = 0x70;
  into[at + 2] = sense >>> 16;
  into[at + 7] = SENSE_BYTES - 8;
  into[at + 12] = (sense >>> 8) & 0xff;
  into[at + 13] = sense & 0xff;
  if (information === null) return;
  into[at] = 0xf0;
  into.writeUInt32BE(information, at + 3);
}

/** Sense data as REQUEST SENSE answers it. */
export function senseData(sense: number): Buffer {
  const data = Buffer.alloc(SENSE_BYTES);
  writeSense(data, 0, sense, null);
  return data;
}
