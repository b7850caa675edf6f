import type { Socket } from 'node:net';

/**
 * The descriptor of a socket, or -1 when it has none (any more). To be asked for anew each time: a number kept from before may be
 * another file's once the socket has closed.
 */
export function socketDescriptor(socket: Socket): number {
  if (!('_handle' in socket)) return -1;
  const handle = socket._handle;
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return -1;
  const { fd } = handle;
  return typeof fd === 'number' ? fd : -1;
}
