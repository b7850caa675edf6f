/** What a connection sends: sequence numbers, digests, and the room of each PDU in the reply queue. */
import type { Buffer } from 'node:buffer';
import { crc32c } from '../../protocol/crc32c.ts';
import {
  DIGEST_BYTES,
  FINAL,
  NO_TAG,
  OP_REJECT,
  PDU_HEADER_BYTES,
  padded,
  serialBefore,
  startPdu,
} from '../../protocol/iscsi-pdu.ts';
import type { Chunk } from '../stream/chunk-pool.ts';
import type { ReplyQueue } from '../stream/reply-queue.ts';

export class PduSender {
  /** CmdSN of the next command. */
  expCmdSn = 0;
  hasHeaderDigest = false;
  hasDataDigest = false;
  private statSn = 0;
  private maxCmdSn = 0;
  private readonly replies: ReplyQueue;
  /** How many more commands may come. */
  private readonly window: () => number;

  constructor(replies: ReplyQueue, window: () => number) {
    this.replies = replies;
    this.window = window;
  }

  /** Goes on where the login ended. */
  begin(statSn: number, expCmdSn: number): void {
    this.statSn = statSn;
    this.expCmdSn = expCmdSn;
    this.maxCmdSn = (expCmdSn + this.window() - 1) >>> 0;
  }

  /** Whether a command of this number is one that we have said may come. */
  isInWindow(cmdSn: number): boolean {
    return !serialBefore(cmdSn, this.expCmdSn) && !serialBefore(this.maxCmdSn, cmdSn);
  }

  /** Bytes of a PDU with this much data. */
  pduBytes(dataBytes: number): number {
    return this.dataAt() + padded(dataBytes) + (this.hasDataDigest && dataBytes > 0 ? DIGEST_BYTES : 0);
  }

  /** Where the data of a PDU begins. */
  dataAt(): number {
    return PDU_HEADER_BYTES + (this.hasHeaderDigest ? DIGEST_BYTES : 0);
  }

  /** Fills in the numbers of a header. A status takes a StatSN of its own; without `usesStatSn` the next one is told. */
  number(into: Buffer, at: number, usesStatSn: boolean): void {
    const wanted = (this.expCmdSn + this.window() - 1) >>> 0;
    if (serialBefore(this.maxCmdSn, wanted)) this.maxCmdSn = wanted;
    into.writeUInt32BE(this.statSn, at + 24);
    if (usesStatSn) this.statSn = (this.statSn + 1) >>> 0;
    into.writeUInt32BE(this.expCmdSn, at + 28);
    into.writeUInt32BE(this.maxCmdSn, at + 32);
  }

  /** Writes padding and digests of a PDU whose header and data are there; answers where it ends. */
  seal(into: Buffer, at: number, dataBytes: number): number {
    const dataAt = at + this.dataAt();
    if (this.hasHeaderDigest) into.writeUInt32LE(crc32c(into, at, at + PDU_HEADER_BYTES), at + PDU_HEADER_BYTES);
    const end = dataAt + padded(dataBytes);
    into.fill(0, dataAt + dataBytes, end);
    if (!this.hasDataDigest || dataBytes === 0) return end;
    into.writeUInt32LE(crc32c(into, dataAt, end), end);
    return end + DIGEST_BYTES;
  }

  /** Sends a PDU that is neither a SCSI response nor Data-In; `fill` writes what else its header has. */
  send(
    opcode: number,
    flags: number,
    taskTag: number,
    usesStatSn: boolean,
    data: Buffer | null,
    fill: (into: Buffer, at: number) => void,
  ): void {
    const dataBytes = data?.length ?? 0;
    const chunk: Chunk = this.replies.reserve(this.pduBytes(dataBytes));
    const at = chunk.filled - this.pduBytes(dataBytes);
    startPdu(chunk.buffer, at, opcode, flags, dataBytes, taskTag);
    this.number(chunk.buffer, at, usesStatSn);
    fill(chunk.buffer, at);
    data?.copy(chunk.buffer, at + this.dataAt());
    this.replies.add(chunk, at, this.seal(chunk.buffer, at, dataBytes));
  }

  /** Tells that a PDU was not taken. */
  reject(from: Buffer, at: number, reason: number): void {
    this.send(OP_REJECT, FINAL, NO_TAG, true, from.subarray(at, at + PDU_HEADER_BYTES), (into, start) => {
      into[start + 2] = reason;
    });
  }
}
