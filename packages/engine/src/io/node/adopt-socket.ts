/**
 * Node gives `onread` (receiving into buffers of one's own) only to sockets that connect, not to those that are accepted. This
 * makes a socket of the first kind from one of the second, by taking its handle over.
 */
import assert from 'node:assert/strict';
import { Socket, type OnReadOpts } from 'node:net';

/**
 * `accepted` must come from a server with `pauseOnConnect`, so that nothing of it has been read; it is of no use afterwards. With a
 * high water mark of one byte, `drain` tells of every write that did not leave at once.
 */
export function adoptSocket(accepted: Socket, onread: OnReadOpts): Socket {
  const handle: unknown = Reflect.get(accepted, '_handle');
  assert(typeof handle === 'object' && handle !== null, 'an accepted socket has a handle');
  Reflect.set(accepted, '_handle', null);
  // `handle` is Node's own option, which it uses for sockets passed between processes.
  const options = { handle, onread, writableHighWaterMark: 1 };
  const socket: Socket = Reflect.construct(Socket, [options]);
  accepted.destroy();
  return socket;
}
