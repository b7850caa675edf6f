/** How a SCSI command ended. */
import { Buffer } from 'node:buffer';
import { SENSE, STATUS_CHECK_CONDITION, STATUS_GOOD } from '../../protocol/scsi.ts';

export interface CommandResult {
  readonly status: number;
  /** `0xKKAAQQ`; counts with CHECK CONDITION */
  readonly sense: number;
  readonly information: number | null;
  /** for the initiator, already cut to the allocation length */
  readonly data: Buffer;
  /** bytes that the command takes from the initiator, by its CDB */
  readonly takesBytes: number;
}

const NO_DATA = Buffer.alloc(0);

export const done = (data: Buffer = NO_DATA, takesBytes = 0): CommandResult => ({
  status: STATUS_GOOD,
  sense: SENSE.NONE,
  information: null,
  data,
  takesBytes,
});

export const failed = (sense: number, takesBytes = 0, information: number | null = null): CommandResult => ({
  status: STATUS_CHECK_CONDITION,
  sense,
  information,
  data: NO_DATA,
  takesBytes,
});

const ENOSPC = 28;

/** What an errno of the volume is called. */
export function senseOfErrno(errno: number, isRead: boolean): number {
  if (isRead) return SENSE.MEDIUM_READ_ERROR;
  return errno === ENOSPC ? SENSE.SPACE_ALLOCATION_FAILED : SENSE.MEDIUM_WRITE_ERROR;
}
