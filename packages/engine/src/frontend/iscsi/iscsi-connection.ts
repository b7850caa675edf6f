/**
 * One initiator, from login to the end: one connection is one session. The stream of PDUs is `RequestStream`'s, the SCSI commands are
 * `TaskRunner`'s; here are login, the order of commands, NOP, text, task management and logout.
 *
 * - Lengths are judged before anything waits for the bytes; a wrong digest, a length above what was agreed, or a PDU that breaks
 *   the protocol ends the connection (error recovery level 0). The initiator logs in anew and sends again what was not answered.
 * - Commands, payload bytes and bytes to come are bounded; who is asked (NOP-In) and says nothing is given up.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { crc32c } from '../../protocol/crc32c.ts';
import {
  DIGEST_BYTES,
  FINAL,
  NO_TAG,
  OP_DATA_OUT,
  OP_LOGIN,
  OP_LOGOUT,
  OP_LOGOUT_RESPONSE,
  OP_NOP_IN,
  OP_NOP_OUT,
  OP_SCSI_COMMAND,
  OP_TASK_MANAGEMENT,
  OP_TASK_MANAGEMENT_RESPONSE,
  OP_TEXT,
  OP_TEXT_RESPONSE,
  PDU_HEADER_BYTES,
  REJECT_NOT_SUPPORTED,
  REJECT_PROTOCOL_ERROR,
  TEXT_CONTINUES,
  TMF_ABORT_TASK,
  TMF_ABORT_TASK_SET,
  TMF_CLEAR_TASK_SET,
  TMF_COMPLETE,
  TMF_LOGICAL_UNIT_RESET,
  TMF_NOT_SUPPORTED,
  TMF_NO_SUCH_LUN,
  TMF_NO_SUCH_TASK,
  TMF_TARGET_COLD_RESET,
  TMF_TARGET_WARM_RESET,
  padded,
  pduAhsBytes,
  pduCmdSn,
  pduDataBytes,
  pduFlags,
  pduIsImmediate,
  pduLun,
  pduOpcode,
  pduTaskTag,
  pduTransferTag,
} from '../../protocol/iscsi-pdu.ts';
import type { Chunk } from '../stream/chunk-pool.ts';
import type { PayloadBudget } from '../stream/payload-budget.ts';
import { NOT_YET, RequestStream, type RequestParser } from '../stream/request-stream.ts';
import { plainTransport } from '../stream/transport.ts';
import {
  ISCSI_AHS_BYTES_MAX,
  ISCSI_LOGIN_TICKS,
  ISCSI_LUN,
  ISCSI_PING_TICKS,
  ISCSI_SEGMENT_MAX,
  ISCSI_SILENT_TICKS,
  ISCSI_TASK_MANAGEMENT_MAX,
  LOGIN_SEGMENT_MAX,
} from './limits.ts';
import type { LogicalUnit, Nexus, UnitConnection } from './logical-unit.ts';
import { Login, type LoginOptions } from './login.ts';
import { PduSender } from './pdu-sender.ts';
import { TaskRunner } from './task-runner.ts';
import { TaskTable } from './task-table.ts';
import { encodeTextKeys, parseTextKeys } from './text-keys.ts';

const TMF_REJECTED = 255;

export interface ConnectionOptions {
  readonly unit: LogicalUnit;
  readonly budget: PayloadBudget;
  readonly login: LoginOptions;
  /** `IP:PORT` for SendTargets, as this connection has reached us */
  readonly portal: string;
  /** Called once, with what was wrong with the peer ("" = nothing). */
  readonly whenEnded: (problem: string) => void;
}

export class IscsiConnection implements RequestParser, UnitConnection {
  readonly stream: RequestStream;
  readonly login: Login;
  nexus: Nexus | null = null;
  private readonly options: ConnectionOptions;
  private readonly tasks = new TaskTable();
  private readonly sender: PduSender;
  private runner: TaskRunner | null = null;
  private taskManagement = 0;
  private silentTicks = 0;

  constructor(accepted: Socket, options: ConnectionOptions) {
    this.options = options;
    this.login = new Login(options.login);
    this.stream = new RequestStream(plainTransport(accepted), options.unit.target, options.budget, this);
    this.sender = new PduSender(this.stream.replies, () => this.tasks.freeCount);
    this.stream.socket.setNoDelay(true);
    this.stream.start();
  }

  /** Takes no further commands, and ends once those in progress are answered. */
  leave(): void {
    this.runner?.dropGathers();
    this.stream.leave();
  }

  /** Time passes: asks a silent initiator whether it is there, and ends the connection of one that is not. */
  tick(): void {
    this.stream.trim();
    this.runner?.trim();
    const ticks = ++this.silentTicks;
    if (this.runner === null) {
      if (ticks >= ISCSI_LOGIN_TICKS) this.stream.close('no login');
    } else if (ticks >= ISCSI_SILENT_TICKS) {
      this.stream.close('the initiator is silent');
    } else if (ticks >= ISCSI_PING_TICKS) {
      // Its answer has our tag; a tag of the initiator's would ask for none.
      this.sender.send(OP_NOP_IN, FINAL, NO_TAG, false, null, (into, at) => into.writeUInt32BE(1, at + 20));
      this.stream.sendReplies();
    }
  }

  // UnitConnection

  overlapsWrite(start: number, end: number): boolean {
    return this.tasks.overlapsWrite(start, end);
  }

  unlocked(): void {
    this.stream.continue();
  }

  abortTasks(ended: () => void): void {
    if (this.runner === null) ended();
    else this.runner.abortAll(ended);
  }

  // RequestParser

  isIdle(): boolean {
    return this.tasks.isIdle;
  }

  ended(problem: string): void {
    const { unit, whenEnded } = this.options;
    if (this.nexus !== null) unit.reservations.dropReserve6(this.nexus.id);
    this.nexus = null;
    this.runner?.dropGathers();
    // Writes that are on their way still stand against locked ranges.
    if (this.tasks.isIdle) unit.connections.delete(this);
    whenEnded(problem);
  }

  private taskEnded(): void {
    if (this.tasks.isIdle) this.options.unit.connections.delete(this);
  }

  bytesNeeded(from: Buffer, at: number, available: number): number {
    return available < PDU_HEADER_BYTES ? PDU_HEADER_BYTES : this.pduBytes(from, at);
  }

  private dataAt(from: Buffer, at: number): number {
    const digest = this.sender.hasHeaderDigest ? DIGEST_BYTES : 0;
    return PDU_HEADER_BYTES + pduAhsBytes(from, at) + digest;
  }

  private pduBytes(from: Buffer, at: number): number {
    const data = pduDataBytes(from, at);
    return this.dataAt(from, at) + padded(data) + (this.sender.hasDataDigest && data > 0 ? DIGEST_BYTES : 0);
  }

  takeRequest(chunk: Chunk, at: number, available: number): number {
    if (available < PDU_HEADER_BYTES) return NOT_YET;
    const from = chunk.buffer;
    const { runner, sender, stream } = this;
    const dataBytes = pduDataBytes(from, at);
    const dataAt = this.dataAt(from, at);
    if (dataBytes > (runner === null ? LOGIN_SEGMENT_MAX : ISCSI_SEGMENT_MAX)) {
      return stream.hangUp(`a data segment of ${dataBytes} bytes is too long`);
    }
    if (pduAhsBytes(from, at) > ISCSI_AHS_BYTES_MAX) return stream.hangUp('additional headers are too long');
    if (sender.hasHeaderDigest) {
      if (available < dataAt) return NOT_YET;
      const digestAt = at + dataAt - DIGEST_BYTES;
      if (from.readUInt32LE(digestAt) !== crc32c(from, at, digestAt)) return stream.hangUp('a header digest is wrong');
    }
    if (runner === null && pduOpcode(from, at) !== OP_LOGIN) return stream.hangUp('no login');
    const bytes = this.pduBytes(from, at);
    if (available < bytes) return NOT_YET;
    const dataEnd = at + dataAt + padded(dataBytes);
    if (sender.hasDataDigest && dataBytes > 0 && from.readUInt32LE(dataEnd) !== crc32c(from, at + dataAt, dataEnd)) {
      return stream.hangUp('a data digest is wrong');
    }
    this.silentTicks = runner === null ? this.silentTicks : 0;
    if (runner === null) return this.takeLogin(from, at, dataAt, dataBytes, bytes);
    if (stream.replies.isBehind()) return stream.stall();
    return this.dispatch(runner, chunk, at, at + dataAt, dataBytes) ? bytes : NOT_YET;
  }

  private takeLogin(from: Buffer, at: number, dataAt: number, dataBytes: number, bytes: number): number {
    const data = from.subarray(at + dataAt, at + dataAt + dataBytes);
    const answer = this.login.take(from, at, data);
    this.stream.socket.write(answer);
    if (this.login.state === 'end') this.stream.leave();
    if (this.login.state === 'full') this.enter();
    return bytes;
  }

  /** The login has ended well. */
  private enter(): void {
    const { unit, budget } = this.options;
    const { identity, parameters } = this.login;
    const nexus = unit.enter(identity.initiatorName, identity.isid);
    this.sender.begin(this.login.statSn, this.login.cmdSn);
    this.sender.hasHeaderDigest = parameters.headerDigest;
    this.sender.hasDataDigest = parameters.dataDigest;
    this.silentTicks = 0;
    this.runner = new TaskRunner({
      unit,
      stream: this.stream,
      sender: this.sender,
      budget,
      parameters,
      nexus,
      tasks: this.tasks,
      taskEnded: () => this.taskEnded(),
    });
    if (identity.isDiscovery) return;
    this.nexus = nexus;
    unit.connections.add(this);
  }

  /** False: it waits in the socket, or the connection has ended. */
  private dispatch(runner: TaskRunner, chunk: Chunk, at: number, dataAt: number, dataBytes: number): boolean {
    const from = chunk.buffer;
    const opcode = pduOpcode(from, at);
    if (opcode === OP_DATA_OUT) return runner.takeData(from, at, dataAt, dataBytes);
    const isCommand =
      opcode === OP_NOP_OUT ||
      opcode === OP_SCSI_COMMAND ||
      opcode === OP_TASK_MANAGEMENT ||
      opcode === OP_TEXT ||
      opcode === OP_LOGOUT;
    if (!isCommand) {
      this.sender.reject(from, at, opcode === OP_LOGIN ? REJECT_PROTOCOL_ERROR : REJECT_NOT_SUPPORTED);
      return true;
    }
    const isImmediate = pduIsImmediate(from, at);
    if (!isImmediate && pduCmdSn(from, at) !== this.sender.expCmdSn) {
      // Outside of the window a command is to be ignored; inside, one before it is missing, for good on one connection.
      if (this.sender.isInWindow(pduCmdSn(from, at))) this.stream.hangUp('a command is missing');
      return !this.stream.isClosed;
    }
    const isScsi = opcode === OP_SCSI_COMMAND && this.nexus !== null;
    const admission = isScsi ? runner.admit(from, at, dataBytes) : true;
    if (admission === false) return false;
    if (!isImmediate) this.sender.expCmdSn = (this.sender.expCmdSn + 1) >>> 0;
    if (opcode !== OP_SCSI_COMMAND) {
      this.takeOther(opcode, runner, from, at, dataAt, dataBytes);
    } else if (this.nexus === null) {
      this.sender.reject(from, at, REJECT_PROTOCOL_ERROR);
    } else if (admission === 'too many') {
      runner.refuse(from, at);
    } else if (!runner.take(chunk, at, dataAt, dataBytes)) {
      this.stream.hangUp('a command breaks the protocol');
    }
    return !this.stream.isClosed;
  }

  private takeOther(
    opcode: number,
    runner: TaskRunner,
    from: Buffer,
    at: number,
    dataAt: number,
    dataBytes: number,
  ): void {
    const data = from.subarray(dataAt, dataAt + dataBytes);
    if (opcode === OP_NOP_OUT) this.takeNop(from, at, data);
    else if (opcode === OP_TEXT) this.takeText(from, at, data);
    else if (opcode === OP_LOGOUT) this.takeLogout(from, at);
    else this.takeTaskManagement(runner, from, at);
  }

  private takeNop(from: Buffer, at: number, data: Buffer): void {
    // The answer to our own question.
    if (pduTaskTag(from, at) === NO_TAG) return;
    const echo = data.subarray(0, this.login.parameters.sendSegmentBytes);
    this.sender.send(OP_NOP_IN, FINAL, pduTaskTag(from, at), true, echo, (into, start) => {
      from.copy(into, start + 8, at + 8, at + 16);
      into.writeUInt32BE(NO_TAG, start + 20);
    });
  }

  private takeText(from: Buffer, at: number, data: Buffer): void {
    const isWhole = (pduFlags(from, at) & (FINAL | TEXT_CONTINUES)) === FINAL;
    const keys = isWhole && pduTransferTag(from, at) === NO_TAG ? parseTextKeys(data) : null;
    if (keys === null) {
      this.sender.reject(from, at, REJECT_PROTOCOL_ERROR);
      return;
    }
    const { targetName } = this.options.login;
    const answers: [string, string][] = [];
    for (const [key, value] of keys) {
      if (key !== 'SendTargets') answers.push([key, 'NotUnderstood']);
      else if (value === targetName || value === '' || (value === 'All' && this.login.identity.isDiscovery)) {
        answers.push(['TargetName', targetName], ['TargetAddress', `${this.options.portal},1`]);
      }
    }
    this.sender.send(OP_TEXT_RESPONSE, FINAL, pduTaskTag(from, at), true, encodeTextKeys(answers), (into, start) =>
      into.writeUInt32BE(NO_TAG, start + 20),
    );
  }

  private takeLogout(from: Buffer, at: number): void {
    const reason = pduFlags(from, at) & 0x7f;
    this.sender.send(OP_LOGOUT_RESPONSE, FINAL, pduTaskTag(from, at), true, null, (into, start) => {
      // Connection recovery needs a higher error recovery level.
      into[start + 2] = reason > 1 ? 2 : 0;
    });
    if (reason <= 1) this.leave();
  }

  private takeTaskManagement(runner: TaskRunner, from: Buffer, at: number): void {
    const taskTag = pduTaskTag(from, at);
    const answer = (response: number): void => {
      if (this.stream.isClosed) return;
      this.sender.send(OP_TASK_MANAGEMENT_RESPONSE, FINAL, taskTag, true, null, (into, start) => {
        into[start + 2] = response;
      });
    };
    if (this.taskManagement >= ISCSI_TASK_MANAGEMENT_MAX || this.nexus === null) {
      answer(TMF_REJECTED);
      return;
    }
    this.taskManagement++;
    let isAtOnce = true;
    const ended = (): void => {
      this.taskManagement--;
      answer(TMF_COMPLETE);
      if (!isAtOnce) this.stream.sendReplies();
    };
    const refusal = this.manageTasks(runner, from, at, ended);
    isAtOnce = false;
    if (refusal === TMF_COMPLETE) return;
    this.taskManagement--;
    answer(refusal);
  }

  /** Starts a function that calls `ended` when it is over; else answers why it cannot. */
  private manageTasks(runner: TaskRunner, from: Buffer, at: number, ended: () => void): number {
    const { unit } = this.options;
    const what = pduFlags(from, at) & 0x7f;
    const isOfUnit = what <= TMF_LOGICAL_UNIT_RESET;
    if (isOfUnit && pduLun(from, at) !== ISCSI_LUN) return TMF_NO_SUCH_LUN;
    switch (what) {
      case TMF_ABORT_TASK: {
        const slot = this.tasks.find(pduTransferTag(from, at));
        if (slot < 0) return TMF_NO_SUCH_TASK;
        runner.abort(slot, ended);
        return TMF_COMPLETE;
      }
      case TMF_ABORT_TASK_SET:
        runner.abortAll(ended);
        return TMF_COMPLETE;
      case TMF_CLEAR_TASK_SET:
        unit.abortTasksOf([...unit.connections], ended);
        return TMF_COMPLETE;
      case TMF_LOGICAL_UNIT_RESET:
      case TMF_TARGET_WARM_RESET:
      case TMF_TARGET_COLD_RESET:
        unit.reset(ended);
        return TMF_COMPLETE;
      default:
        return TMF_NOT_SUPPORTED;
    }
  }
}
