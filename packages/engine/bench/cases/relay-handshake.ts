/** The least of the NBD handshake that libnbd takes: every option is refused but GO and EXPORT_NAME, whatever name they ask for. */
import { Buffer } from 'node:buffer';
import {
  NBD_EXPORT_HAS_FLAGS,
  NBD_EXPORT_NAME_ZEROES,
  NBD_EXPORT_SEND_FLUSH,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO_EXPORT,
  NBD_MAGIC,
  NBD_OPT_EXPORT_NAME,
  NBD_OPT_GO,
  NBD_OPTION_HEADER_BYTES,
  NBD_OPTION_MAGIC,
  NBD_OPTION_REPLY_MAGIC,
  NBD_REP_ACK,
  NBD_REP_ERR_UNSUP,
  NBD_REP_INFO,
} from '../../src/protocol/nbd.ts';

const CLIENT_FLAGS_BYTES = 4;
const OPTION_AT = 8;
const LENGTH_AT = 12;

/** What a server says first. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(NBD_MAGIC, 0);
  bytes.writeBigUInt64BE(NBD_OPTION_MAGIC, 8);
  bytes.writeUInt16BE(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES, 16);
  return bytes;
}

/** Whatever came so far from the client, all of it every time: what to answer to it as a whole, and whether requests follow. */
export function answerHandshake(received: Buffer, sizeBytes: number): { answer: Buffer; isOver: boolean } {
  const answers: Buffer[] = [];
  if (received.length < CLIENT_FLAGS_BYTES) return { answer: Buffer.alloc(0), isOver: false };
  const isShort = (received.readUInt32BE(0) & NBD_FLAG_NO_ZEROES) !== 0;
  for (let at = CLIENT_FLAGS_BYTES; at + NBD_OPTION_HEADER_BYTES <= received.length;) {
    const option = received.readUInt32BE(at + OPTION_AT);
    const end = at + NBD_OPTION_HEADER_BYTES + received.readUInt32BE(at + LENGTH_AT);
    if (end > received.length) break;
    if (option === NBD_OPT_EXPORT_NAME) {
      answers.push(description(sizeBytes), Buffer.alloc(isShort ? 0 : NBD_EXPORT_NAME_ZEROES));
      return { answer: Buffer.concat(answers), isOver: true };
    }
    if (option === NBD_OPT_GO) {
      const info = Buffer.concat([Buffer.from([0, NBD_INFO_EXPORT]), description(sizeBytes)]);
      answers.push(optionReply(option, NBD_REP_INFO, info), optionReply(option, NBD_REP_ACK, Buffer.alloc(0)));
      return { answer: Buffer.concat(answers), isOver: true };
    }
    answers.push(optionReply(option, NBD_REP_ERR_UNSUP, Buffer.alloc(0)));
    at = end;
  }
  return { answer: Buffer.concat(answers), isOver: false };
}

/** size u64, transmission flags u16 */
function description(sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(sizeBytes), 0);
  bytes.writeUInt16BE(NBD_EXPORT_HAS_FLAGS | NBD_EXPORT_SEND_FLUSH, 8);
  return bytes;
}

function optionReply(option: number, type: number, data: Buffer): Buffer {
  const header = Buffer.alloc(20);
  header.writeBigUInt64BE(NBD_OPTION_REPLY_MAGIC, 0);
  header.writeUInt32BE(option, 8);
  header.writeUInt32BE(type, 12);
  header.writeUInt32BE(data.length, 16);
  return Buffer.concat([header, data]);
}
