/**
 * How the bytes of a connection come and go: on a socket of its own, received where they are parsed and sent by one system call. What
 * needs more work on the way (TLS) opens another one.
 */
import type { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import { adoptSocket } from '../../io/node/adopt-socket.ts';
import { DirectWriter } from '../../io/node/direct-writer.ts';

/** Takes what comes. */
export interface Receiver {
  /** Where the next bytes go; never without room. */
  buffer(): Buffer;
  /** So many bytes have come; false: no more until `resume` of the socket. */
  received(count: number): boolean;
  /** Everything that was written has been taken. */
  drained(): void;
}

export interface StreamWriter {
  /** Bytes that have not been taken yet; what they lie in must stay as it is. */
  readonly unsentBytes: number;
  /** Sends `bytes[start .. end)`. */
  write(bytes: Buffer, start: number, end: number): void;
  /** Sends several pieces, one after the other. */
  writeAll(pieces: readonly Buffer[]): void;
}

export interface Transport {
  /** Its beginning and end; nothing is read before `resume`. */
  readonly socket: Socket;
  readonly writer: StreamWriter;
}

export type OpenTransport = (receiver: Receiver) => Transport;

/** `accepted` comes from a server with `pauseOnConnect`. */
export function plainTransport(accepted: Socket): OpenTransport {
  return (receiver) => {
    const socket = adoptSocket(accepted, {
      buffer: () => receiver.buffer(),
      callback: (count) => receiver.received(count),
    });
    socket.on('drain', () => receiver.drained());
    return { socket, writer: new DirectWriter(socket) };
  };
}
