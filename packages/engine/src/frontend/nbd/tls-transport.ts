/**
 * The bytes of a connection in TLS: what comes out of decryption is copied to where it is parsed, and what is sent goes through the
 * socket, never past it to its descriptor.
 */
import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { OpenTransport, Receiver, StreamWriter } from '../stream/transport.ts';

/** `socket` has finished the handshake of TLS, and nothing of it has been read. */
export function tlsTransport(socket: TLSSocket): OpenTransport {
  return (receiver) => {
    socket.pause();
    socket.on('data', (data: Buffer) => {
      if (!receive(receiver, socket, data)) socket.pause();
    });
    return { socket, writer: new TlsWriter(socket, () => receiver.drained()) };
  };
}

/**
 * A stalled receiver gets the rest of `data` as well: it waits there instead of here. One that has ended the connection gets no more,
 * and may have no room left.
 */
function receive(receiver: Receiver, socket: Socket, data: Buffer): boolean {
  let goesOn = true;
  for (let at = 0; at < data.length && !socket.destroyed;) {
    const room = receiver.buffer();
    assert(room.length > 0, 'there is room while the connection lasts');
    const count = data.copy(room, 0, at, at + Math.min(room.length, data.length - at));
    at += count;
    goesOn = receiver.received(count);
  }
  return goesOn;
}

class TlsWriter implements StreamWriter {
  private readonly socket: Socket;
  /** The `drain` of a socket comes only after it held more than its high water mark. */
  private readonly written: () => void;

  constructor(socket: Socket, drained: () => void) {
    this.socket = socket;
    this.written = () => {
      if (socket.writableLength === 0 && !socket.destroyed) drained();
    };
  }

  get unsentBytes(): number {
    return this.socket.writableLength;
  }

  write(bytes: Buffer, start: number, end: number): void {
    this.socket.write(bytes.subarray(start, end), this.written);
  }

  writeAll(pieces: readonly Buffer[]): void {
    this.socket.cork();
    for (const piece of pieces) this.socket.write(piece, this.written);
    this.socket.uncork();
  }
}
