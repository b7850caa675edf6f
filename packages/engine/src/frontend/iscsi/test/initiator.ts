/** An initiator of bare PDUs over a real socket, for tests. */
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { crc32c } from '../../../protocol/crc32c.ts';
import { padded } from '../../../protocol/iscsi-pdu.ts';
import { encodeTextKeys, parseTextKeys, type TextKeys } from '../text-keys.ts';

export interface Pdu {
  readonly header: Buffer;
  readonly data: Buffer;
}

export interface Command {
  readonly cdb: string;
  readonly read?: number;
  readonly write?: number;
  readonly data?: Buffer;
  readonly lun?: number;
  readonly isFinal?: boolean;
}

export const INITIATOR = 'iqn.1993-08.org.debian:01:test';

export class Initiator {
  readonly socket: Socket;
  hasDigests = false;
  cmdSn = 1;
  private tag = 0;
  private received = Buffer.alloc(0);
  private isEnded = false;
  private wake: () => void = () => undefined;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('data', (bytes) => {
      this.received = Buffer.concat([this.received, bytes]);
      this.wake();
    });
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => {
      this.isEnded = true;
      this.wake();
    });
  }

  /** Sends a PDU; `header` is cut or filled to 48 bytes. */
  send(header: Buffer, data: Buffer = Buffer.alloc(0)): void {
    header.writeUIntBE(data.length, 5, 3);
    const digest = (bytes: Buffer): Buffer => {
      const crc = Buffer.alloc(this.hasDigests ? 4 : 0);
      if (this.hasDigests) crc.writeUInt32LE(crc32c(bytes, 0, bytes.length), 0);
      return crc;
    };
    const body = Buffer.concat([data, Buffer.alloc(padded(data.length) - data.length)]);
    const parts = [header, digest(header)];
    if (data.length > 0) parts.push(body, digest(body));
    this.socket.write(Buffer.concat(parts));
  }

  header(opcode: number, flags: number, isImmediate = false): Buffer {
    const header = Buffer.alloc(48);
    header[0] = opcode | (isImmediate ? 0x40 : 0);
    header[1] = flags;
    header.writeUInt32BE(++this.tag, 16);
    header.writeUInt32BE(0xffffffff, 20);
    header.writeUInt32BE(this.cmdSn, 24);
    return header;
  }

  /** One login PDU; answers status and keys. */
  async login(
    flags: number,
    keys: Record<string, string>,
    isid = 1,
  ): Promise<{ status: number; flags: number; keys: TextKeys }> {
    const header = this.header(0x03, flags, true);
    header.writeUIntBE(isid, 8, 6);
    header.writeUInt32BE(0, 20);
    this.send(header, encodeTextKeys(Object.entries(keys)));
    const answer = await this.take();
    const parsed = parseTextKeys(answer.data);
    if (parsed === null) throw new Error('no keys');
    return { status: answer.header.readUInt16BE(36), flags: answer.header[1] as number, keys: parsed };
  }

  /** Straight to the full feature phase. */
  async enter(target: string, keys: Record<string, string> = {}, isid = 1): Promise<TextKeys> {
    const names = { InitiatorName: INITIATOR, SessionType: 'Normal', TargetName: target };
    const answer = await this.login(0x87, { ...names, ...keys }, isid);
    if (answer.status !== 0 || answer.flags !== 0x87) throw new Error(`login status ${answer.status.toString(16)}`);
    this.hasDigests = answer.keys.get('HeaderDigest') === 'CRC32C';
    // The unit attention of a new nexus.
    await this.command({ cdb: '000000000000' });
    return answer.keys;
  }

  /** Starts a command; answers its tag. */
  start({ cdb, read = 0, write = 0, data, lun = 1, isFinal = true }: Command): number {
    const header = this.header(0x01, (isFinal ? 0x80 : 0) | (read > 0 ? 0x40 : 0) | (write > 0 ? 0x20 : 0));
    header.writeUInt16BE(lun, 8);
    header.writeUInt32BE(read + write, 20);
    Buffer.from(cdb, 'hex').copy(header, 32);
    this.cmdSn++;
    this.send(header, data);
    return this.tag;
  }

  /** Runs a command whose data goes with it; answers its end. */
  async command(command: Command): Promise<{ status: number; sense: number; data: Buffer; residual: number }> {
    this.start(command);
    const parts: Buffer[] = [];
    for (;;) {
      const { header, data } = await this.take();
      const opcode = header[0] as number;
      const residual = header.readUInt32BE(44);
      if (opcode === 0x25) {
        parts.push(data);
        if (((header[1] as number) & 1) === 1) return { status: 0, sense: 0, data: Buffer.concat(parts), residual };
      } else if (opcode === 0x21) {
        const sense = data.length > 0 ? ((data[4] as number) << 16) | data.readUInt16BE(14) : 0;
        return { status: header[3] as number, sense, data: Buffer.concat(parts), residual };
      } else {
        throw new Error(`opcode ${opcode.toString(16)} in between`);
      }
    }
  }

  sendData(tag: number, transferTag: number, dataSn: number, offset: number, data: Buffer, isFinal: boolean): void {
    const header = this.header(0x05, isFinal ? 0x80 : 0);
    header.writeUInt32BE(tag, 16);
    header.writeUInt32BE(transferTag, 20);
    header.writeUInt32BE(dataSn, 36);
    header.writeUInt32BE(offset, 40);
    this.send(header, data);
  }

  /** The next PDU. */
  async take(): Promise<Pdu> {
    const digest = this.hasDigests ? 4 : 0;
    const header = await this.bytes(48 + digest);
    const length = header.readUIntBE(5, 3);
    const body = await this.bytes(padded(length) + (length > 0 ? digest : 0));
    if (digest > 0 && header.readUInt32LE(48) !== crc32c(header, 0, 48)) throw new Error('wrong header digest');
    if (digest > 0 && length > 0 && body.readUInt32LE(padded(length)) !== crc32c(body, 0, padded(length))) {
      throw new Error('wrong data digest');
    }
    return { header: header.subarray(0, 48), data: body.subarray(0, length) };
  }

  async ended(): Promise<void> {
    while (!this.isEnded) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  async close(): Promise<void> {
    if (this.isEnded) return;
    this.socket.destroy();
    await once(this.socket, 'close');
  }

  private async bytes(count: number): Promise<Buffer> {
    while (this.received.length < count) {
      if (this.isEnded) throw new Error('the target has closed the connection');
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    const bytes = this.received.subarray(0, count);
    this.received = this.received.subarray(count);
    return bytes;
  }
}
