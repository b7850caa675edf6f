/**
 * Waits, in the event loop and without a thread, until a descriptor is readable that Node cannot open as a stream.
 *
 * Node's sockets refuse character devices such as /dev/fuse, but they only look at a descriptor once, when they are
 * made. So a socket is made on one end of a pipe, and the device is put in the pipe's place (dup3) before the event
 * loop first asks the kernel about it. From then on libuv's epoll watches the device, and reads it into our memory.
 */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { duplicateOnto, makePipe } from './linux.ts';

export interface ReadableDescriptor {
  /** No callback comes after this. The descriptor that was passed in stays open. */
  close(): void;
}

/** What the owner of the descriptor provides. */
export interface ReadableOwner {
  /** Memory for the next read; asked for before each read, also (its answer is not used then) after a last one. */
  nextBuffer(): Buffer;
  /** `length` bytes were read into the last `nextBuffer`. False = stop reading for good (a new watch can be made). */
  onRead(length: number): boolean;
  /** The device has failed or ended, with the system's error name. */
  onEnd(code: string): void;
}

/** Watches a non-blocking descriptor until `close`. */
export const watchReadable = (fd: number, owner: ReadableOwner): ReadableDescriptor => {
  const [watched, other] = makePipe();
  let open = true;
  const end = (code: string): void => {
    if (!open) return;
    open = false;
    owner.onEnd(code);
  };
  const socket = new Socket({
    fd: watched,
    readable: true,
    writable: false,
    onread: { buffer: () => owner.nextBuffer(), callback: (length: number) => open && owner.onRead(length) },
  });
  closeSync(other);
  duplicateOnto(fd, watched);
  socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  socket.on('end', () => end('EOF'));
  return {
    close: () => {
      open = false;
      socket.destroy();
    },
  };
};
