/** Seeded streams of bytes that clients send: options and requests, good ones among bad ones. */
import { Buffer } from 'node:buffer';
import type { Pick } from '../../../../test/fuzz-seeds.ts';
import { FUZZ_VOLUME_BYTES } from './fuzz-target.ts';
import { contextQueries, request } from './nbd-client.ts';

const COMMANDS = [0, 0, 0, 1, 1, 1, 3, 4, 6, 7, 7];

/** Lengths that tell apart code that counts right. */
function someLength(pick: Pick): number {
  return [
    () => 512 * (1 + pick(16)),
    () => 1 + pick(9000),
    () => (256 << 10) + pick(1 << 20),
    () => [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 32 << 20, (32 << 20) + 1][pick(7)] as number,
  ][[0, 0, 0, 1, 1, 2, 3][pick(7)] as number]?.() as number;
}

function someOffset(pick: Pick, length: number): number {
  const last = FUZZ_VOLUME_BYTES - length;
  return [
    () => pick(Math.max(1, last)),
    () => Math.max(0, last),
    () => Math.max(0, last + 1),
    () => FUZZ_VOLUME_BYTES,
    () => [2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 63][pick(4)] as number,
  ][[0, 0, 0, 0, 1, 2, 3, 4][pick(8)] as number]?.() as number;
}

/** A request with a cookie of its own, and its payload; sometimes with another length than its header says. */
function someRequest(pick: Pick, cookie: number): Buffer {
  const type =
    pick(12) === 0 ? ([5, 8, 9, 255, 0xffff][pick(5)] as number) : (COMMANDS[pick(COMMANDS.length)] as number);
  // Zeros are written in pieces: often more than one.
  const length = type === 6 && pick(2) === 0 ? (1 << 20) + pick(2 << 20) : someLength(pick);
  const flags = pick(6) === 0 ? pick(0x10000) : pick(4) + (type === 7 ? 8 * pick(2) : 0);
  const header = request(type, cookie, someOffset(pick, length), length, flags);
  if (pick(40) === 0) header.fill(0xff, 16, 24);
  if (type !== 1 || length > 2 << 20) return header;
  const payload = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) payload.writeInt32LE(Math.imul(at + cookie, 0x85ebca6b), at);
  const isLying = pick(25) === 0;
  return Buffer.concat([header, isLying ? payload.subarray(0, pick(length + 1)) : payload]);
}

/** Requests of client `id`, with what a broken or hostile client puts among them. */
export function someRequests(pick: Pick, id: number): Buffer {
  const isTidy = pick(3) > 0;
  const count = pick(12) === 0 ? 300 + pick(400) : 1 + pick(40);
  const parts: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const cookie = id * 2 ** 20 + i;
    if (count >= 300) parts.push(request(pick(2) === 0 ? 0 : 3, cookie, pick(1 << 20), 1 + pick(600)));
    else parts.push(someRequest(pick, cookie));
    if (isTidy) continue;
    if (pick(30) === 0) parts.push(Buffer.from(Array.from({ length: 1 + pick(60) }, () => pick(256))));
    if (pick(30) === 0) parts.push((parts.pop() as Buffer).subarray(0, pick(40)));
    if (pick(40) === 0) parts.push(request(2, cookie + 2 ** 19, 0, 0));
    if (pick(30) === 0) spoil(parts.at(-1) as Buffer, pick);
  }
  return Buffer.concat(parts);
}

/** Any byte but those of a cookie, by which replies are known. */
function spoil(bytes: Buffer, pick: Pick): void {
  for (let i = Math.min(bytes.length, 1 + pick(3)); i > 0; i--) {
    const at = pick(Math.min(bytes.length, 64));
    if (at < 8 || at >= 16) bytes[at] = pick(256);
  }
}

function option(code: number, data: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.write('IHAVEOPT', 0, 'latin1');
  header.writeUInt32BE(code, 8);
  header.writeUInt32BE(data.length, 12);
  return Buffer.concat([header, data]);
}

const GO = Buffer.from('00000003766f6c000200010003', 'hex');

function someData(pick: Pick): Buffer {
  const data = [
    () => Buffer.alloc(0),
    () => Buffer.from(GO),
    () => contextQueries('vol', 'base:allocation'),
    () => contextQueries('', 'base:', 'qemu:x', ''),
    () => Buffer.from(Array.from({ length: pick(200) }, () => pick(256))),
    () => Buffer.alloc(8192, 0x41),
  ][pick(6)]?.() as Buffer;
  for (let i = pick(4); i > 0 && data.length > 0; i--)
    data[pick(data.length)] = [0, 0xff, pick(256)][pick(3)] as number;
  return data;
}

/** Client flags and options of which none but the last leads out of the handshake in order. */
export function someHandshake(pick: Pick): Buffer {
  const flags = ['00000003', '00000003', '00000003', '00000001', '00000002', 'ffffffff'][pick(6)] as string;
  const parts: Buffer[] = [Buffer.from(flags, 'hex')];
  const count = pick(15) === 0 ? 80 : pick(8);
  for (let i = 0; i < count; i++) {
    const one = option([3, 6, 8, 9, 10, 4, 5, 99, 0xffff_ffff][pick(9)] as number, someData(pick));
    const isSpoilt = pick(6) === 0;
    if (isSpoilt) one[pick(Math.min(one.length, 24))] = pick(256);
    parts.push(one);
  }
  const last = pick(6);
  if (last === 0) parts.push(option(1, Buffer.from(pick(2) === 0 ? 'vol' : 'nobody')));
  if (last === 1) parts.push(option(7, GO));
  if (last === 2) parts.push(option(2, Buffer.alloc(0)));
  if (last === 3) parts.push(Buffer.from(Array.from({ length: pick(100) }, () => pick(256))));
  return Buffer.concat(parts);
}

/** Cuts a stream into pieces as a network may. */
export function pieces(bytes: Buffer, pick: Pick): Buffer[] {
  const cut: Buffer[] = [];
  const most = [1 << 30, 70_000, 3000, 60][pick(4)] as number;
  for (let at = 0; at < bytes.length && cut.length < 200;) {
    const end = cut.length === 199 ? bytes.length : at + 1 + pick(most);
    cut.push(bytes.subarray(at, end));
    at = end;
  }
  return cut;
}
