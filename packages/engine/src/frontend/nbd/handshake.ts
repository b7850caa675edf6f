/**
 * The fixed newstyle handshake, one option at a time:
 *
 *     greeting -> flags -> option -> option -> … -> transmission (GO, EXPORT_NAME)
 *                   |        |                  \-> end (ABORT, or what no client that can be served sends)
 *                   |        \-> tls (STARTTLS, where it is required) -> option -> …
 *
 * Pure: takes bytes, gives bytes. On the way a client may ask for structured replies, and then for `base:allocation`. Where TLS is
 * required (FORCEDTLS of the protocol), every option before it but STARTTLS and ABORT is refused, and EXPORT_NAME, which cannot be
 * refused, ends the session; elsewhere STARTTLS is answered with ERR_UNSUP, so that clients go on without.
 */
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import {
  NBD_BASE_ALLOCATION,
  NBD_EXPORT_CAN_MULTI_CONN,
  NBD_EXPORT_HAS_FLAGS,
  NBD_EXPORT_NAME_ZEROES,
  NBD_EXPORT_SEND_DF,
  NBD_EXPORT_SEND_FLUSH,
  NBD_EXPORT_SEND_FUA,
  NBD_EXPORT_SEND_TRIM,
  NBD_EXPORT_SEND_WRITE_ZEROES,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_BLOCK_SIZE,
  NBD_INFO_EXPORT,
  NBD_INFO_NAME,
  NBD_MAGIC,
  NBD_OPT_ABORT,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_GO,
  NBD_OPT_INFO,
  NBD_OPT_LIST,
  NBD_OPT_LIST_META_CONTEXT,
  NBD_OPT_SET_META_CONTEXT,
  NBD_OPT_STARTTLS,
  NBD_OPT_STRUCTURED_REPLY,
  NBD_OPTION_HEADER_BYTES,
  NBD_OPTION_MAGIC,
  NBD_OPTION_REPLY_MAGIC,
  NBD_REP_ACK,
  NBD_REP_ERR_INVALID,
  NBD_REP_ERR_TLS_REQD,
  NBD_REP_ERR_UNKNOWN,
  NBD_REP_ERR_UNSUP,
  NBD_REP_INFO,
  NBD_REP_META_CONTEXT,
  NBD_REP_SERVER,
} from '../../protocol/nbd.ts';
import {
  NBD_BLOCK_MIN,
  NBD_BLOCK_PREFERRED,
  NBD_OPTION_BYTES_MAX,
  NBD_OPTIONS_MAX,
  NBD_PAYLOAD_MAX,
} from './nbd-limits.ts';

const CLIENT_FLAGS_BYTES = 4;
const CLIENT_FLAGS_KNOWN = NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES;
const EXPORT_FLAGS =
  NBD_EXPORT_HAS_FLAGS |
  NBD_EXPORT_SEND_FLUSH |
  NBD_EXPORT_SEND_FUA |
  NBD_EXPORT_SEND_TRIM |
  NBD_EXPORT_SEND_WRITE_ZEROES |
  NBD_EXPORT_CAN_MULTI_CONN;

/**
 * What the connection does next. `end`: send what there is and close. `tls`: send what there is, then speak TLS and call
 * `secured`; nothing that came in plain text after that option counts.
 */
export type HandshakeState = 'flags' | 'option' | 'tls' | 'transmission' | 'end';

/** `required`: in plain text so far. */
export type HandshakeTls = 'none' | 'required' | 'active';

export interface ExportDescription {
  readonly name: string;
  sizeBytes(): number;
  /** The client may be told what is allocated. */
  readonly hasAllocation: boolean;
}

/** The number that stands for `base:allocation` in replies. */
export const ALLOCATION_CONTEXT = 1;

export class Handshake {
  state: HandshakeState = 'flags';
  /** The client asked for structured replies: those of reads must be. */
  hasStructuredReplies = false;
  /** The client asked for `base:allocation`. */
  hasAllocation = false;
  private readonly exported: ExportDescription;
  private readonly replies: Buffer[] = [];
  private hasNoZeroes = false;
  private options = 0;
  private tls: HandshakeTls;

  constructor(exported: ExportDescription, tls: 'none' | 'required') {
    this.exported = exported;
    this.tls = tls;
    const greeting = Buffer.alloc(18);
    greeting.writeBigUInt64BE(NBD_MAGIC, 0);
    greeting.writeBigUInt64BE(NBD_OPTION_MAGIC, 8);
    greeting.writeUInt16BE(CLIENT_FLAGS_KNOWN, 16);
    this.replies.push(greeting);
  }

  /** Takes what is complete of `bytes`; the answer is how many bytes that was. */
  take(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const used = this.step(bytes.subarray(at));
      if (used === 0) return at;
      at += used;
    }
  }

  /** The connection is in TLS from now on. */
  secured(): void {
    assert(this.state === 'tls', 'TLS starts once, after STARTTLS');
    this.tls = 'active';
    this.state = 'option';
  }

  /** What is to be sent now. */
  output(): Buffer {
    return Buffer.concat(this.replies.splice(0));
  }

  private step(bytes: Buffer): number {
    if (this.state === 'flags') return this.takeFlags(bytes);
    if (this.state === 'option') return this.takeOption(bytes);
    return 0;
  }

  private takeFlags(bytes: Buffer): number {
    if (bytes.length < CLIENT_FLAGS_BYTES) return 0;
    const flags = bytes.readUInt32BE(0);
    const isKnown = (flags & ~CLIENT_FLAGS_KNOWN) === 0 && (flags & NBD_FLAG_FIXED_NEWSTYLE) !== 0;
    this.hasNoZeroes = (flags & NBD_FLAG_NO_ZEROES) !== 0;
    this.state = isKnown ? 'option' : 'end';
    return CLIENT_FLAGS_BYTES;
  }

  private takeOption(bytes: Buffer): number {
    if (bytes.length < NBD_OPTION_HEADER_BYTES) return 0;
    const option = bytes.readUInt32BE(8);
    const length = bytes.readUInt32BE(12);
    if (bytes.readBigUInt64BE(0) !== NBD_OPTION_MAGIC || length > NBD_OPTION_BYTES_MAX) {
      this.state = 'end';
      return 0;
    }
    const end = NBD_OPTION_HEADER_BYTES + length;
    if (bytes.length < end) return 0;
    if (++this.options > NBD_OPTIONS_MAX) this.state = 'end';
    else this.answer(option, bytes.subarray(NBD_OPTION_HEADER_BYTES, end));
    return end;
  }

  private answer(option: number, data: Buffer): void {
    if (this.tls === 'required') {
      this.answerInPlainText(option, data);
      return;
    }
    switch (option) {
      case NBD_OPT_EXPORT_NAME:
        this.answerExportName(data.toString('utf8'));
        return;
      case NBD_OPT_ABORT:
        this.reply(option, NBD_REP_ACK);
        this.state = 'end';
        return;
      case NBD_OPT_LIST:
        if (data.length === 0) this.answerList();
        else this.reply(option, NBD_REP_ERR_INVALID);
        return;
      case NBD_OPT_INFO:
      case NBD_OPT_GO:
        this.answerGo(option, data);
        return;
      case NBD_OPT_STRUCTURED_REPLY:
        this.hasStructuredReplies ||= data.length === 0;
        this.reply(option, data.length === 0 ? NBD_REP_ACK : NBD_REP_ERR_INVALID);
        return;
      case NBD_OPT_LIST_META_CONTEXT:
      case NBD_OPT_SET_META_CONTEXT:
        this.answerContexts(option, data);
        return;
      case NBD_OPT_STARTTLS:
        this.reply(option, this.tls === 'active' ? NBD_REP_ERR_INVALID : NBD_REP_ERR_UNSUP);
        return;
      default:
        this.reply(option, NBD_REP_ERR_UNSUP);
    }
  }

  /** TLS is required and has not been started. */
  private answerInPlainText(option: number, data: Buffer): void {
    switch (option) {
      case NBD_OPT_STARTTLS:
        this.reply(option, data.length === 0 ? NBD_REP_ACK : NBD_REP_ERR_INVALID);
        if (data.length === 0) this.state = 'tls';
        return;
      case NBD_OPT_ABORT:
        this.reply(option, NBD_REP_ACK);
        this.state = 'end';
        return;
      case NBD_OPT_EXPORT_NAME:
        this.state = 'end';
        return;
      default:
        this.reply(option, NBD_REP_ERR_TLS_REQD);
    }
  }

  private answerExportName(name: string): void {
    if (!this.isExported(name)) {
      this.state = 'end';
      return;
    }
    const size = 10 + (this.hasNoZeroes ? 0 : NBD_EXPORT_NAME_ZEROES);
    const answer = Buffer.alloc(size);
    answer.writeBigUInt64BE(BigInt(this.exported.sizeBytes()), 0);
    answer.writeUInt16BE(this.exportFlags(), 8);
    this.replies.push(answer);
    this.state = 'transmission';
  }

  private answerList(): void {
    const name = Buffer.from(this.exported.name, 'utf8');
    const data = Buffer.alloc(4 + name.length);
    data.writeUInt32BE(name.length, 0);
    name.copy(data, 4);
    this.reply(NBD_OPT_LIST, NBD_REP_SERVER, data);
    this.reply(NBD_OPT_LIST, NBD_REP_ACK);
  }

  /** Data of INFO and GO: length u32, name, count u16, that many info types u16. */
  private answerGo(option: number, data: Buffer): void {
    const nameLength = data.length >= 6 ? data.readUInt32BE(0) : data.length;
    const hasName = data.length >= 6 + nameLength;
    const count = hasName ? data.readUInt16BE(4 + nameLength) : 0;
    if (!hasName || data.length !== 6 + nameLength + 2 * count) {
      this.reply(option, NBD_REP_ERR_INVALID);
      return;
    }
    const name = data.toString('utf8', 4, 4 + nameLength);
    if (!this.isExported(name)) {
      this.reply(option, NBD_REP_ERR_UNKNOWN);
      return;
    }
    const wanted = new Set(Array.from({ length: count }, (_, i) => data.readUInt16BE(6 + nameLength + 2 * i)));
    if (wanted.has(NBD_INFO_NAME)) this.replyName(option);
    const info = Buffer.alloc(12);
    info.writeUInt16BE(NBD_INFO_EXPORT, 0);
    info.writeBigUInt64BE(BigInt(this.exported.sizeBytes()), 2);
    info.writeUInt16BE(this.exportFlags(), 10);
    this.reply(option, NBD_REP_INFO, info);
    const sizes = Buffer.alloc(14);
    sizes.writeUInt16BE(NBD_INFO_BLOCK_SIZE, 0);
    sizes.writeUInt32BE(NBD_BLOCK_MIN, 2);
    sizes.writeUInt32BE(NBD_BLOCK_PREFERRED, 6);
    sizes.writeUInt32BE(NBD_PAYLOAD_MAX, 10);
    this.reply(option, NBD_REP_INFO, sizes);
    this.reply(option, NBD_REP_ACK);
    if (option === NBD_OPT_GO) this.state = 'transmission';
  }

  private exportFlags(): number {
    return this.hasStructuredReplies ? EXPORT_FLAGS | NBD_EXPORT_SEND_DF : EXPORT_FLAGS;
  }

  /** What a client may select, or has selected from now on. */
  private answerContexts(option: number, data: Buffer): void {
    const isSet = option === NBD_OPT_SET_META_CONTEXT;
    if (isSet) this.hasAllocation = false;
    const request = parseContextQueries(data);
    if (request === null || !this.hasStructuredReplies) {
      this.reply(option, NBD_REP_ERR_INVALID);
      return;
    }
    if (!this.isExported(request.name)) {
      this.reply(option, NBD_REP_ERR_UNKNOWN);
      return;
    }
    const isAll = !isSet && (request.queries.length === 0 || request.queries.includes('base:'));
    if (this.exported.hasAllocation && (isAll || request.queries.includes(NBD_BASE_ALLOCATION))) {
      if (isSet) this.hasAllocation = true;
      const context = Buffer.alloc(4 + NBD_BASE_ALLOCATION.length);
      context.writeUInt32BE(ALLOCATION_CONTEXT, 0);
      context.write(NBD_BASE_ALLOCATION, 4, 'latin1');
      this.reply(option, NBD_REP_META_CONTEXT, context);
    }
    this.reply(option, NBD_REP_ACK);
  }

  private replyName(option: number): void {
    const name = Buffer.from(this.exported.name, 'utf8');
    const data = Buffer.alloc(2 + name.length);
    data.writeUInt16BE(NBD_INFO_NAME, 0);
    name.copy(data, 2);
    this.reply(option, NBD_REP_INFO, data);
  }

  private reply(option: number, type: number, data: Buffer = NO_DATA): void {
    const header = Buffer.alloc(20);
    header.writeBigUInt64BE(NBD_OPTION_REPLY_MAGIC, 0);
    header.writeUInt32BE(option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(data.length, 16);
    this.replies.push(header, data);
  }

  /** "" is the default export. */
  private isExported(name: string): boolean {
    return name === '' || name === this.exported.name;
  }
}

/** Data of LIST_META_CONTEXT and SET_META_CONTEXT: length u32, name, count u32, that many of length u32, text; null: it is none. */
function parseContextQueries(data: Buffer): { name: string; queries: string[] } | null {
  let at = 0;
  const text = (): string | null => {
    if (data.length - at < 4) return null;
    const start = at + 4;
    const end = start + data.readUInt32BE(at);
    if (end > data.length) return null;
    at = end;
    return data.toString('utf8', start, end);
  };
  const name = text();
  if (name === null || data.length - at < 4) return null;
  const count = data.readUInt32BE(at);
  at += 4;
  const queries: string[] = [];
  while (queries.length < count) {
    const query = text();
    if (query === null) return null;
    queries.push(query);
  }
  return at === data.length ? { name, queries } : null;
}

const NO_DATA = Buffer.alloc(0);
