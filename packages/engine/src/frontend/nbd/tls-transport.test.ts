import { Buffer } from 'node:buffer';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { expect, it } from 'vitest';
import { tlsTransport } from './tls-transport.ts';

it('gives a receiver what it has room for, piece after piece', () => {
  const socket = new TLSSocket(new Socket());
  const room = Buffer.alloc(4);
  const received: string[] = [];
  tlsTransport(socket)({
    buffer: () => room,
    received: (count) => {
      received.push(room.toString('latin1', 0, count));
      return true;
    },
    drained: () => undefined,
  });
  socket.emit('data', Buffer.from('0123456789'));
  socket.destroy();
  expect(received).toEqual(['0123', '4567', '89']);
});

it('gives nothing more to one that ends the connection, and that has no room any more', () => {
  const socket = new TLSSocket(new Socket());
  let room = Buffer.alloc(4);
  let calls = 0;
  tlsTransport(socket)({
    buffer: () => room,
    received: () => {
      calls++;
      room = Buffer.alloc(0);
      socket.destroy();
      return false;
    },
    drained: () => undefined,
  });
  socket.emit('data', Buffer.alloc(10));
  expect(calls).toBe(1);
});
