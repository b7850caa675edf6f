import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeDataSocket, removeDeadSockets } from './data-sockets.ts';

let folder: string;
let told: string[];
const log = { error: (text: string) => told.push(text) };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'data-sockets-'));
  told = [];
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function listen(name: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(folder, 'data', name), resolve));
  return server;
}

it('removes the sockets that nobody listens on, and nothing else', async () => {
  mkdirSync(join(folder, 'data'));
  const alive = await listen('alive.sock');
  const dying = await listen('dying.sock');
  // Its name goes with the server, a second one stays as after SIGKILL.
  linkSync(join(folder, 'data', 'dying.sock'), join(folder, 'data', 'dead.sock'));
  await new Promise((resolve) => dying.close(resolve));
  writeFileSync(join(folder, 'data', 'note'), '');
  await removeDeadSockets(folder, log);
  expect(readdirSync(join(folder, 'data')).toSorted()).toEqual(['alive.sock', 'note']);
  expect(told).toEqual([]);
  await new Promise((resolve) => alive.close(resolve));
});

it('finds nothing where no replica ever ran', async () => {
  await removeDeadSockets(folder, log);
  removeDataSocket(folder, 'none', log);
  expect(told).toEqual([]);
});

it('says which one stays, and why', () => {
  mkdirSync(join(folder, 'data', 'r.sock'), { recursive: true });
  removeDataSocket(folder, 'r', log);
  expect(told).toEqual([expect.stringMatching(/^the socket of r stays: /)]);
});
