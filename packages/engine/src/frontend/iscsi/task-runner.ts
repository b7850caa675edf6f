/**
 * The SCSI commands of one connection: gathers the data of writes (immediate, unsolicited, asked for by R2T), runs plain reads,
 * writes and flushes on the volume without a promise, and everything else by `commands.ts`; answers each exactly once, or
 * not at all if it was aborted.
 *
 * A write whose data came with its command leaves from where it was received; a read is read into its Data-In PDUs.
 */
import { Buffer } from 'node:buffer';
import {
  COMMAND_READ,
  COMMAND_WRITE,
  DATA_IN_STATUS,
  FINAL,
  NO_TAG,
  OP_DATA_IN,
  OP_R2T,
  OP_SCSI_RESPONSE,
  RESIDUAL_OVERFLOW,
  RESIDUAL_UNDERFLOW,
  pduBufferOffset,
  pduDataSn,
  pduExpectedBytes,
  pduFlags,
  pduLun,
  pduTaskTag,
  pduTransferTag,
  startPdu,
} from '../../protocol/iscsi-pdu.ts';
import {
  SCSI,
  SENSE,
  SENSE_BYTES,
  STATUS_CHECK_CONDITION,
  STATUS_GOOD,
  STATUS_RESERVATION_CONFLICT,
  STATUS_TASK_SET_FULL,
  writeSense,
} from '../../protocol/scsi.ts';
import { FRAME_HEADROOM, type CompletionSink } from '../frontend.ts';
import { type Chunk, ChunkPool } from '../stream/chunk-pool.ts';
import { STREAM_CHUNK_BYTES } from '../stream/limits.ts';
import type { PayloadBudget } from '../stream/payload-budget.ts';
import type { RequestStream } from '../stream/request-stream.ts';
import { cdbBlocks, cdbIsFua, cdbLba, cdbProtects } from './cdb.ts';
import { type CommandResult, senseOfErrno } from './command-result.ts';
import { accessOf, execute, executeElsewhere, ignoresAttention } from './commands.ts';
import { ISCSI_GATHER_BYTES_MAX, ISCSI_LUN, ISCSI_TRANSFER_MAX, SECTOR_BYTES } from './limits.ts';
import type { LogicalUnit, Nexus } from './logical-unit.ts';
import type { SessionParameters } from './negotiation.ts';
import type { PduSender } from './pdu-sender.ts';
import {
  KIND_FLUSH,
  KIND_JOB,
  KIND_READ,
  KIND_WRITE,
  TASK_GATHERING,
  TASK_RUNNING,
  type TaskTable,
} from './task-table.ts';

const CDB_AT = 32;
const NO_DATA = Buffer.alloc(0);

/** What a plain command is; KIND_JOB for everything else. */
function kindOf(opcode: number): number {
  switch (opcode) {
    case SCSI.READ_6:
    case SCSI.READ_10:
    case SCSI.READ_12:
    case SCSI.READ_16:
      return KIND_READ;
    case SCSI.WRITE_6:
    case SCSI.WRITE_10:
    case SCSI.WRITE_12:
    case SCSI.WRITE_16:
      return KIND_WRITE;
    case SCSI.SYNCHRONIZE_CACHE_10:
    case SCSI.SYNCHRONIZE_CACHE_16:
      return KIND_FLUSH;
    default:
      return KIND_JOB;
  }
}

export interface TaskRunnerOptions {
  readonly unit: LogicalUnit;
  readonly stream: RequestStream;
  readonly sender: PduSender;
  readonly budget: PayloadBudget;
  readonly parameters: SessionParameters;
  readonly nexus: Nexus;
  readonly tasks: TaskTable;
  /** Called when a task has ended and nothing else will send what is ready. */
  readonly taskEnded: () => void;
}

export class TaskRunner implements CompletionSink {
  private readonly unit: LogicalUnit;
  private readonly stream: RequestStream;
  private readonly sender: PduSender;
  private readonly budget: PayloadBudget;
  private readonly parameters: SessionParameters;
  private readonly nexus: Nexus;
  private readonly tasks: TaskTable;
  private readonly taskEnded: () => void;
  private readonly gathers = new ChunkPool();
  private transferTags = 0;

  constructor(options: TaskRunnerOptions) {
    this.unit = options.unit;
    this.stream = options.stream;
    this.sender = options.sender;
    this.budget = options.budget;
    this.parameters = options.parameters;
    this.nexus = options.nexus;
    this.tasks = options.tasks;
    this.taskEnded = options.taskEnded;
  }

  trim(): void {
    this.gathers.trim();
  }

  // SCSI commands

  /**
   * Whether the command at `at` can be taken now; false: it waits in the socket, until a range is unlocked or payloads have
   * ended. `too many`: it is refused, since it cannot wait: data of this connection's own commands comes behind it.
   */
  admit(from: Buffer, at: number, dataBytes: number): boolean | 'too many' {
    if (this.tasks.freeCount === 0) return 'too many';
    const kind = kindOf(from[at + CDB_AT] as number);
    const needs = this.payloadOf(from, at);
    const isGathered = (pduFlags(from, at) & COMMAND_WRITE) !== 0 && dataBytes < needs;
    if (isGathered && this.tasks.gatherBytes + needs > ISCSI_GATHER_BYTES_MAX) return 'too many';
    if (kind === KIND_WRITE && this.isLocked(from, at)) return this.waits();
    if (needs === 0 || this.budget.take(this.stream, needs)) {
      if (needs > 0) this.budget.release(needs);
      return true;
    }
    if (this.tasks.gathering > 0) return 'too many';
    return this.waits();
  }

  private waits(): false {
    this.stream.stall();
    return false;
  }

  /** Bytes that a command at the disk keeps in memory. */
  private payloadOf(from: Buffer, at: number): number {
    const flags = pduFlags(from, at);
    const expected = (flags & (COMMAND_READ | COMMAND_WRITE)) === 0 ? 0 : pduExpectedBytes(from, at);
    const isWrite = (flags & COMMAND_WRITE) !== 0;
    if (!isWrite && kindOf(from[at + CDB_AT] as number) !== KIND_READ) return 0;
    return Math.min(expected, ISCSI_TRANSFER_MAX);
  }

  private isLocked(from: Buffer, at: number): boolean {
    if (!this.unit.locks.isActive) return false;
    const start = cdbLba(from, at + CDB_AT) * SECTOR_BYTES;
    return this.unit.locks.isLocked(start, start + cdbBlocks(from, at + CDB_AT) * SECTOR_BYTES);
  }

  /** Answers a command that found no room, without doing anything. */
  refuse(from: Buffer, at: number): void {
    this.sender.send(OP_SCSI_RESPONSE, FINAL, pduTaskTag(from, at), true, null, (into, start) => {
      into[start + 3] = STATUS_TASK_SET_FULL;
    });
  }

  /** Takes the command at `at`; false: what comes with it breaks the protocol. */
  take(chunk: Chunk, at: number, dataAt: number, dataBytes: number): boolean {
    const from = chunk.buffer;
    const { tasks, parameters } = this;
    const flags = pduFlags(from, at);
    const isWrite = (flags & COMMAND_WRITE) !== 0;
    const expected = (flags & (COMMAND_READ | COMMAND_WRITE)) === 0 ? 0 : pduExpectedBytes(from, at);
    const isSolicited = (flags & FINAL) !== 0;
    if (dataBytes > 0) {
      const isAllowed = isWrite && parameters.immediateData && dataBytes <= parameters.firstBurstBytes;
      if (!isAllowed || dataBytes > expected) return false;
    }
    if (!isSolicited && (!isWrite || parameters.initialR2t)) return false;
    if (tasks.find(pduTaskTag(from, at)) >= 0) return false;
    const slot = tasks.take(pduTaskTag(from, at));
    const payload = this.payloadOf(from, at);
    if (payload > 0 && this.budget.take(this.stream, payload)) tasks.charged[slot] = payload;
    tasks.lun[slot] = pduLun(from, at);
    tasks.expected[slot] = expected;
    from.copy(tasks.cdb(slot), 0, at + CDB_AT, at + CDB_AT + 16);
    // Other LUNs take no data: what came with the command, or comes behind it, is passed over.
    if (tasks.lun[slot] !== ISCSI_LUN) {
      this.runJob(slot, NO_DATA);
      return true;
    }
    const kind = this.judge(slot, flags);
    if (kind === 0) return true;
    tasks.kind[slot] = kind;
    if (kind === KIND_READ) this.startRead(slot);
    else if (kind === KIND_FLUSH) this.unit.target.flush(this, this.onePiece(slot));
    else if (isWrite) this.startWrite(slot, chunk, dataAt, dataBytes, isSolicited);
    else this.runJob(slot, NO_DATA);
    return true;
  }

  /** What kind of command is to be done; 0 = it has been answered. Of a plain one, the range is noted. */
  private judge(slot: number, flags: number): number {
    const { tasks, nexus, unit } = this;
    const cdb = tasks.cdb(slot);
    const opcode = cdb[0] as number;
    if (nexus.attentions.length > 0 && !ignoresAttention(opcode)) {
      return this.fail(slot, nexus.attentions.shift() ?? SENSE.POWER_ON);
    }
    if (unit.reservations.isConflict(nexus.id, accessOf(opcode))) {
      return this.answer(slot, STATUS_RESERVATION_CONFLICT, SENSE.NONE, null);
    }
    const kind = kindOf(opcode);
    if (kind === KIND_JOB) return kind;
    const lba = cdbLba(cdb, 0);
    const blocks = cdbBlocks(cdb, 0);
    if (kind !== KIND_FLUSH && cdbProtects(cdb, 0)) return this.fail(slot, SENSE.INVALID_FIELD_IN_CDB);
    if (!unit.has(lba, blocks)) return this.fail(slot, SENSE.LBA_OUT_OF_RANGE);
    if (kind === KIND_FLUSH) return kind;
    // A length in the other direction is none.
    if ((flags & (kind === KIND_READ ? COMMAND_READ : COMMAND_WRITE)) === 0) tasks.expected[slot] = 0;
    const transfer = blocks * SECTOR_BYTES;
    if (transfer > ISCSI_TRANSFER_MAX) return this.fail(slot, SENSE.INVALID_FIELD_IN_CDB);
    tasks.transfer[slot] = transfer;
    tasks.offset[slot] = lba * SECTOR_BYTES;
    tasks.length[slot] = Math.min(transfer, tasks.expected[slot] as number);
    tasks.isFua[slot] = cdbIsFua(cdb, 0) ? 1 : 0;
    if (tasks.length[slot] === 0) return this.answer(slot, STATUS_GOOD, SENSE.NONE, null);
    return kind;
  }

  private onePiece(slot: number): number {
    this.tasks.pieces[slot] = 1;
    return slot;
  }

  // Reads

  private segment(at: number, length: number): number {
    const { sendSegmentBytes, maxBurstBytes } = this.parameters;
    return Math.min(sendSegmentBytes, maxBurstBytes - (at % maxBurstBytes), length - at);
  }

  private roomOf(length: number): number {
    let bytes = 0;
    for (let at = 0; at < length; at += this.segment(at, length)) {
      bytes += this.sender.pduBytes(this.segment(at, length));
    }
    return bytes;
  }

  private startRead(slot: number): void {
    const { tasks, sender } = this;
    const length = tasks.length[slot] as number;
    const room = this.roomOf(length);
    const into = this.stream.replies.reserve(room);
    const start = into.filled - room;
    tasks.chunk[slot] = into;
    tasks.start[slot] = start;
    let pduAt = start;
    for (let at = 0; at < length;) {
      const bytes = this.segment(at, length);
      tasks.pieces[slot] = (tasks.pieces[slot] as number) + 1;
      const offset = (tasks.offset[slot] as number) + at;
      this.unit.target.read(this, slot, offset, bytes, into.buffer, pduAt + sender.dataAt());
      pduAt += sender.pduBytes(bytes);
      at += bytes;
    }
  }

  /** Writes the headers of Data-In around data that is there; the last one carries the status. */
  private sendDataIn(slot: number, chunk: Chunk, start: number, length: number): void {
    const { tasks, sender } = this;
    const { maxBurstBytes } = this.parameters;
    const into = chunk.buffer;
    let pduAt = start;
    let dataSn = 0;
    for (let at = 0; at < length; dataSn++) {
      const bytes = this.segment(at, length);
      const isLast = at + bytes === length;
      const endsBurst = isLast || (at + bytes) % maxBurstBytes === 0;
      startPdu(into, pduAt, OP_DATA_IN, endsBurst ? FINAL : 0, bytes, tasks.taskTag[slot] as number);
      into.writeUInt32BE(NO_TAG, pduAt + 20);
      sender.number(into, pduAt, isLast);
      if (!isLast) into.writeUInt32BE(0, pduAt + 24);
      into.writeUInt32BE(dataSn, pduAt + 36);
      into.writeUInt32BE(at, pduAt + 40);
      if (isLast) {
        into[pduAt + 1] = FINAL | DATA_IN_STATUS;
        this.writeResidual(into, pduAt, slot);
      }
      pduAt = sender.seal(into, pduAt, bytes);
      at += bytes;
    }
    this.stream.replies.add(chunk, start, pduAt);
  }

  // Writes, and commands with parameters

  private startWrite(slot: number, chunk: Chunk, dataAt: number, dataBytes: number, isSolicited: boolean): void {
    const { tasks, parameters } = this;
    const expected = tasks.expected[slot] as number;
    const isPlain = tasks.kind[slot] === KIND_WRITE;
    const wanted = isPlain ? (tasks.length[slot] as number) : expected;
    if (wanted > ISCSI_TRANSFER_MAX) {
      this.fail(slot, SENSE.INVALID_FIELD_IN_CDB);
      return;
    }
    if (dataBytes >= wanted) {
      chunk.uses++;
      tasks.chunk[slot] = chunk;
      tasks.start[slot] = dataAt;
      tasks.isDirect[slot] = 1;
      this.run(slot, wanted);
      return;
    }
    const gather = this.reserveGather(FRAME_HEADROOM + wanted);
    const start = gather.filled - wanted;
    chunk.buffer.copy(gather.buffer, start, dataAt, dataAt + dataBytes);
    tasks.state[slot] = TASK_GATHERING;
    tasks.gathering++;
    tasks.gatherBytes += wanted;
    tasks.chunk[slot] = gather;
    tasks.start[slot] = start;
    tasks.wanted[slot] = wanted;
    tasks.received[slot] = dataBytes;
    tasks.dataSn[slot] = 0;
    tasks.r2tSn[slot] = 0;
    tasks.transferTag[slot] = NO_TAG;
    tasks.burstEnd[slot] = Math.min(parameters.firstBurstBytes, expected);
    if (isSolicited) this.sendR2t(slot);
  }

  private reserveGather(bytes: number): Chunk {
    let chunk = this.gathers.current;
    if (chunk.uses === 0 && chunk.buffer.length === STREAM_CHUNK_BYTES) chunk.filled = 0;
    if (chunk.buffer.length - chunk.filled < bytes) chunk = this.gathers.next(bytes);
    chunk.uses++;
    chunk.filled += bytes;
    return chunk;
  }

  /** Asks for the next burst of a write. */
  private sendR2t(slot: number): void {
    const { tasks, sender } = this;
    const received = tasks.received[slot] as number;
    const bytes = Math.min((tasks.wanted[slot] as number) - received, this.parameters.maxBurstBytes);
    const room = sender.pduBytes(0);
    const reply = this.stream.replies.reserve(room);
    const at = reply.filled - room;
    this.transferTags = (this.transferTags + 1) & 0x7fffffff;
    tasks.transferTag[slot] = this.transferTags;
    tasks.burstEnd[slot] = received + bytes;
    tasks.dataSn[slot] = 0;
    startPdu(reply.buffer, at, OP_R2T, FINAL, 0, tasks.taskTag[slot] as number);
    reply.buffer.writeUInt16BE(tasks.lun[slot] as number, at + 8);
    reply.buffer.writeUInt32BE(this.transferTags, at + 20);
    sender.number(reply.buffer, at, false);
    reply.buffer.writeUInt32BE(tasks.r2tSn[slot] as number, at + 36);
    tasks.r2tSn[slot] = (tasks.r2tSn[slot] as number) + 1;
    reply.buffer.writeUInt32BE(received, at + 40);
    reply.buffer.writeUInt32BE(bytes, at + 44);
    this.stream.replies.add(reply, at, sender.seal(reply.buffer, at, 0));
  }

  /** Takes a Data-Out; false: it waits in the socket. Data out of order ends its command, of which nothing is done then. */
  takeData(from: Buffer, at: number, dataAt: number, dataBytes: number): boolean {
    const { tasks } = this;
    const slot = tasks.find(pduTaskTag(from, at));
    // Of a command that was refused or aborted meanwhile.
    if (slot < 0 || tasks.state[slot] !== TASK_GATHERING) return true;
    if (pduTransferTag(from, at) !== tasks.transferTag[slot]) return true;
    const received = tasks.received[slot] as number;
    const wanted = tasks.wanted[slot] as number;
    const isRight =
      pduDataSn(from, at) === tasks.dataSn[slot] &&
      pduBufferOffset(from, at) === received &&
      received + dataBytes <= (tasks.burstEnd[slot] as number);
    if (!isRight) {
      this.endGather(slot);
      this.fail(slot, SENSE.DATA_OUT_OF_ORDER);
      return true;
    }
    const isFinal = (pduFlags(from, at) & FINAL) !== 0;
    const isComplete = isFinal && received + dataBytes >= wanted;
    if (isComplete && tasks.kind[slot] === KIND_WRITE && this.isSlotLocked(slot)) return this.waits();
    const target = (tasks.chunk[slot] as Chunk).buffer;
    const useful = Math.max(0, Math.min(dataBytes, wanted - received));
    from.copy(target, (tasks.start[slot] as number) + received, dataAt, dataAt + useful);
    tasks.received[slot] = received + dataBytes;
    tasks.dataSn[slot] = (tasks.dataSn[slot] as number) + 1;
    if (!isFinal) return true;
    if (!isComplete) {
      this.sendR2t(slot);
      return true;
    }
    this.endGather(slot);
    tasks.state[slot] = TASK_RUNNING;
    // A reservation may have changed while the data was on its way.
    if (this.unit.reservations.isConflict(this.nexus.id, accessOf(tasks.cdb(slot)[0] as number))) {
      this.answer(slot, STATUS_RESERVATION_CONFLICT, SENSE.NONE, null);
    } else {
      this.run(slot, wanted);
    }
    return true;
  }

  private isSlotLocked(slot: number): boolean {
    const { locks } = this.unit;
    const start = this.tasks.offset[slot] as number;
    return locks.isActive && locks.isLocked(start, start + (this.tasks.length[slot] as number));
  }

  private endGather(slot: number): void {
    this.tasks.gathering--;
    this.tasks.gatherBytes -= this.tasks.wanted[slot] as number;
  }

  /** All data of a command is there. */
  private run(slot: number, bytes: number): void {
    const { tasks } = this;
    const { buffer } = tasks.chunk[slot] as Chunk;
    const start = tasks.start[slot] as number;
    if (tasks.kind[slot] !== KIND_WRITE) {
      this.runJob(slot, buffer.subarray(start, start + bytes));
      return;
    }
    const offset = tasks.offset[slot] as number;
    const isFua = tasks.isFua[slot] === 1;
    this.unit.target.write(this, this.onePiece(slot), offset, bytes, buffer, start, FRAME_HEADROOM, isFua);
  }

  // Commands that are no plain reads and writes

  private runJob(slot: number, data: Buffer): void {
    const { tasks, unit } = this;
    const lun = tasks.lun[slot] as number;
    const cdb = tasks.cdb(slot);
    const result = lun === ISCSI_LUN ? execute(unit, this.nexus, cdb, data) : executeElsewhere(unit, lun, cdb);
    if (!(result instanceof Promise)) {
      this.endJob(slot, result);
      return;
    }
    void result.then((late) => {
      this.endJob(slot, late);
      this.stream.sendReplies();
      this.budget.wake();
    });
  }

  private endJob(slot: number, { status, sense, information, data, takesBytes }: CommandResult): void {
    const { tasks } = this;
    tasks.transfer[slot] = data.length > 0 ? data.length : takesBytes;
    const length = Math.min(data.length, tasks.expected[slot] as number);
    if (status !== STATUS_GOOD || length === 0 || tasks.aborters[slot] !== null || this.stream.isClosed) {
      this.answer(slot, status, sense, information);
      return;
    }
    const room = this.roomOf(length);
    const chunk = this.stream.replies.reserve(room);
    const start = chunk.filled - room;
    let pduAt = start;
    for (let at = 0; at < length; at += this.segment(at, length)) {
      data.copy(chunk.buffer, pduAt + this.sender.dataAt(), at, at + this.segment(at, length));
      pduAt += this.sender.pduBytes(this.segment(at, length));
    }
    this.sendDataIn(slot, chunk, start, length);
    this.end(slot);
  }

  // Ends

  complete(slot: number, errno: number): void {
    const { tasks } = this;
    if (errno !== 0) tasks.errno[slot] = errno;
    tasks.pieces[slot] = (tasks.pieces[slot] as number) - 1;
    if (tasks.pieces[slot] > 0) return;
    const isRead = tasks.kind[slot] === KIND_READ;
    const chunk = tasks.chunk[slot] ?? null;
    const problem = tasks.errno[slot] as number;
    if (isRead && chunk !== null) {
      tasks.chunk[slot] = null;
      if (problem === 0 && tasks.aborters[slot] === null) {
        this.sendDataIn(slot, chunk, tasks.start[slot] as number, tasks.length[slot] as number);
        this.end(slot);
        return;
      }
      // Its room goes back empty.
      this.stream.replies.add(chunk, tasks.start[slot] as number, tasks.start[slot] as number);
    }
    if (problem === 0) this.answer(slot, STATUS_GOOD, SENSE.NONE, null);
    else this.fail(slot, senseOfErrno(problem, isRead));
  }

  flushCompletions(): void {
    this.stream.sendReplies();
    this.budget.wake();
  }

  private fail(slot: number, sense: number): 0 {
    return this.answer(slot, STATUS_CHECK_CONDITION, sense, null);
  }

  /** The response without data, unless the task was aborted. */
  private answer(slot: number, status: number, sense: number, information: number | null): 0 {
    const { tasks, sender, stream } = this;
    if (tasks.aborters[slot] === null && !stream.isClosed) {
      const hasSense = status === STATUS_CHECK_CONDITION;
      const dataBytes = hasSense ? 2 + SENSE_BYTES : 0;
      const room = sender.pduBytes(dataBytes);
      const reply = stream.replies.reserve(room);
      const at = reply.filled - room;
      const into = reply.buffer;
      startPdu(into, at, OP_SCSI_RESPONSE, FINAL, dataBytes, tasks.taskTag[slot] as number);
      into[at + 3] = status;
      sender.number(into, at, true);
      this.writeResidual(into, at, slot);
      if (hasSense) {
        const dataAt = at + sender.dataAt();
        into.writeUInt16BE(SENSE_BYTES, dataAt);
        writeSense(into, dataAt + 2, sense, information);
      }
      stream.replies.add(reply, at, sender.seal(into, at, dataBytes));
    }
    this.end(slot);
    return 0;
  }

  private writeResidual(into: Buffer, at: number, slot: number): void {
    const transfer = this.tasks.transfer[slot] as number;
    const expected = this.tasks.expected[slot] as number;
    if (transfer === expected) return;
    const flag = transfer > expected ? RESIDUAL_OVERFLOW : RESIDUAL_UNDERFLOW;
    into[at + 1] = (into[at + 1] as number) | flag;
    into.writeUInt32BE(Math.min(Math.abs(transfer - expected), 0xffffffff), at + 44);
  }

  /** The slot is free, and what it held goes back. */
  private end(slot: number): void {
    const { tasks } = this;
    const chunk = tasks.chunk[slot] ?? null;
    if (chunk !== null && tasks.isDirect[slot] === 1) this.stream.release(chunk);
    else if (chunk !== null) this.gathers.release(chunk);
    const isWrite = tasks.kind[slot] === KIND_WRITE;
    const aborters = tasks.aborters[slot] ?? null;
    tasks.aborters[slot] = null;
    this.budget.release(tasks.charged[slot] as number);
    tasks.free(slot);
    if (isWrite && this.unit.locks.isActive) this.unit.locks.grant();
    if (aborters !== null) for (const ended of aborters) ended();
    if (this.stream.isClosed) this.taskEnded();
  }

  // Aborts

  /** Ends a task without an answer, at once if its data was still to come; `ended` is called when it is over. */
  abort(slot: number, ended: () => void): void {
    const { tasks } = this;
    const isGathering = tasks.state[slot] === TASK_GATHERING;
    const aborters = tasks.aborters[slot] ?? [];
    aborters.push(ended);
    tasks.aborters[slot] = aborters;
    if (!isGathering) return;
    this.endGather(slot);
    this.end(slot);
  }

  /** Ends all tasks; `ended` is called when none of those in progress now is left. */
  abortAll(ended: () => void): void {
    const slots = this.tasks.slots();
    let left = slots.length;
    if (left === 0) ended();
    for (const slot of slots) {
      this.abort(slot, () => {
        if (--left === 0) ended();
      });
    }
  }

  /** Data that is still to come is not waited for any more: the connection ends. */
  dropGathers(): void {
    for (const slot of this.tasks.slots()) {
      if (this.tasks.state[slot] === TASK_GATHERING) this.abort(slot, () => undefined);
    }
  }
}
