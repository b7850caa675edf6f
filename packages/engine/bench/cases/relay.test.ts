import { Buffer } from 'node:buffer';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NbdClient } from '../../test/nbd-client.ts';
import { waitFor } from '../../testing/wait.ts';
import { LISTENING_MS } from '../processes.ts';

const MAIN = join(import.meta.dirname, 'relay-main.ts');
const SIZE_BYTES = 4 << 20;
const PIECE = 128 << 10;

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-relay-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  rmSync(folder, { recursive: true });
});

function launch(...args: readonly string[]): void {
  children.push(spawn(process.execPath, [MAIN, ...args], { stdio: 'inherit' }));
}

it('has in all its stores what was written, and reads it', async () => {
  const names = ['a', 'b', 'c'];
  const places = names.map((name) => `unix:${join(folder, `${name}.sock`)}`);
  for (const [i, name] of names.entries()) {
    writeFileSync(join(folder, name), '');
    truncateSync(join(folder, name), SIZE_BYTES);
    launch('store', places[i] ?? '', join(folder, name));
  }
  await waitFor('stores listen', LISTENING_MS, () => names.every((name) => existsSync(join(folder, `${name}.sock`))));
  const socket = join(folder, 'front.sock');
  launch('front', socket, String(SIZE_BYTES), ...places);
  await waitFor('the front listens', LISTENING_MS, () => existsSync(socket));
  const expected = Buffer.alloc(SIZE_BYTES);
  for (let at = 0; at < SIZE_BYTES; at += 4) expected.writeUInt32LE(at ^ 0x5bd1, at);
  const client = await NbdClient.openUnix(socket, 'any');
  expect(client.sizeBytes).toBe(SIZE_BYTES);
  const offsets = Array.from({ length: SIZE_BYTES / PIECE }, (_, i) => i * PIECE);
  await Promise.all(offsets.map((at) => client.write(at, expected.subarray(at, at + PIECE))));
  await client.flush();
  for (const name of names) expect(readFileSync(join(folder, name)).equals(expected)).toBe(true);
  // Reads of any length, with writes of the same bytes between them: answers must not get into each other.
  const pieces = await Promise.all(
    offsets.map(async (at) => {
      const [piece] = await Promise.all([client.read(at, PIECE - 1), client.write(at, expected.subarray(at, at + 5))]);
      return piece.equals(expected.subarray(at, at + PIECE - 1));
    }),
  );
  expect(pieces.every(Boolean)).toBe(true);
  client.close();
  const next = await NbdClient.openUnix(socket, 'any');
  expect((await next.read(4096, 100)).equals(expected.subarray(4096, 4196))).toBe(true);
  next.close();
});
