/**
 * Whether the other end of a TCP connection is there at all, told by its kernel: what was sent is acknowledged without
 * the program at the other end, however busy that one is, and also while it takes nothing (its window is closed).
 */
import type { Socket } from 'node:net';
import koffi, { type KoffiFunc } from 'koffi';
import { socketDescriptor } from './socket-descriptor.ts';

type Getsockopt = (fd: number, level: number, name: number, value: Buffer, length: Uint32Array) => number;
const getsockopt = koffi
  .load(null)
  .func('int getsockopt(int fd, int level, int name, void *value, void *length)') as KoffiFunc<Getsockopt>;

const IPPROTO_TCP = 6;
const TCP_INFO = 11;
/** Of `struct tcp_info`: probes of a closed window, segments that are not acknowledged, milliseconds since the last acknowledgement. */
const PROBES_AT = 3;
const UNACKED_AT = 24;
const LAST_ACK_AT = 56;
const INFO_BYTES = 60;

const info = Buffer.alloc(INFO_BYTES);
const length = new Uint32Array(1);

/**
 * True when something waits for an acknowledgement and none has come for `forMs`. A connection without TCP, or one that
 * cannot be asked, is never silent: its own timeouts judge it.
 */
export function isPeerSilent(socket: Socket, forMs: number): boolean {
  const fd = socketDescriptor(socket);
  if (fd < 0) return false;
  length[0] = INFO_BYTES;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length) < 0 || length[0] < INFO_BYTES) return false;
  const isWaiting = info.readUInt32LE(UNACKED_AT) > 0 || info.readUInt8(PROBES_AT) > 0;
  return isWaiting && info.readUInt32LE(LAST_ACK_AT) >= forMs;
}
