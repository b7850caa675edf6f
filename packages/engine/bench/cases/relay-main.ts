/**
 * A process of the relay (`relay.ts`); PLACE is `unix:PATH` or `tcp:HOST:PORT`.
 *
 *     relay-main.ts store PLACE FILE               puts into the file what the front sends
 *     relay-main.ts front PATH SIZE PLACE...       serves SIZE bytes as NBD on the socket PATH, kept by the stores at these places
 */
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { connect, createServer, type OnReadOpts, type Socket } from 'node:net';
import { adoptSocket } from '../../src/io/node/adopt-socket.ts';
import { CHUNK_BYTES } from './relay-chunks.ts';
import { RelayFront, type Inlet } from './relay-front.ts';
import { RelayStore } from './relay-store.ts';

const [role = '', ...args] = process.argv.slice(2);
process.once('SIGTERM', () => process.exit(0));
if (role === 'store') serveStore(...args);
else if (role === 'front') await serveFront(...args);
else throw new Error('usage: relay-main.ts store PLACE FILE | front PATH SIZE PLACE...');

function placeOf(text: string): { path: string } | { host: string; port: number } {
  const [kind, first, port] = text.split(':');
  if (kind === 'unix' && first) return { path: first };
  if (kind === 'tcp' && first && port) return { host: first, port: Number(port) };
  throw new Error(`${text}: expected unix:PATH or tcp:HOST:PORT`);
}

function serveStore(place = '', file = ''): void {
  const fd = openSync(file, 'r+');
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  createServer({ pauseOnConnect: true, noDelay: true }, (accepted) => {
    const socket = receiving(accepted, { buffer: () => buffer, took: (count) => store.take(count) });
    const store = new RelayStore(fd, socket, buffer);
    socket.resume();
  }).listen(placeOf(place));
}

async function serveFront(path = '', size = '', ...places: readonly string[]): Promise<void> {
  const front = new RelayFront(Number(size), places.length);
  const stores: Socket[] = [];
  for (const [i, place] of places.entries()) {
    const socket = connect({ ...placeOf(place), noDelay: true, onread: onreadOf(front.storeInlet(i)) });
    await once(socket, 'connect');
    stores.push(socket);
  }
  front.use(stores);
  createServer({ pauseOnConnect: true }, (accepted) => {
    const inlet = front.clientInlet();
    const socket = receiving(accepted, inlet);
    inlet.begin(socket);
    socket.resume();
  }).listen(path);
}

/** A socket that reads into buffers of ours. */
function receiving(accepted: Socket, inlet: Inlet): Socket {
  const socket = adoptSocket(accepted, onreadOf(inlet));
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.destroy());
  return socket;
}

function onreadOf(inlet: Inlet): OnReadOpts {
  return {
    buffer: () => inlet.buffer(),
    callback: (count) => {
      inlet.took(count);
      return true;
    },
  };
}
