/** The sender's end of a stream of windows, written from the layout on the wire and not with the product's encoder. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const HOST = '127.0.0.1';

/** A connection to a receiver of windows on this host, behind the answer to its request. */
export async function windowConnection(port: number, path: string): Promise<Socket> {
  const socket = connect({ host: HOST, port });
  // A receiver that has refused what came may cut the rest off.
  socket.on('error', () => undefined);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: longhorn-windows\r\n\r\n`);
  await once(socket, 'data');
  return socket;
}

/** What goes before a window of `length` bytes, of [begin, begin + span). */
export function windowFrame(begin: number, span: number, length: number): Buffer {
  const head = Buffer.alloc(16);
  head.writeBigUInt64LE(BigInt(begin), 0);
  head.writeUInt32LE(span, 8);
  head.writeUInt32LE(length, 12);
  return head;
}
