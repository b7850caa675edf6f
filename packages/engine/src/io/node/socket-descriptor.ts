import type { Socket } from 'node:net';

/**
 * The descriptor of a socket, or -1 when it has none (any more). To be asked for anew each time: a number kept from before may be
 * another file's once the socket has closed.
 */
export function socketDescriptor(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return -1;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' ? fd : -1;
}
