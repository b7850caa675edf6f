import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TestClock } from '../../test/replica-fixture.ts';
import { seededRandom } from '../../test/seeded-random.ts';
import { windowConnection, windowFrame } from '../../test/window-connection.ts';
import { WindowIntake, type IntakeOptions } from './window-intake.ts';
import { FRAME_ALIVE, FRAME_WRITTEN, WindowStream } from './window-stream.ts';

const HOST = '127.0.0.1';
const PATH = '/windows';
const BUFFER_BYTES = 256 << 10;
const BUFFERS = 3;
const TIMEOUT_MS = 60_000;

interface Written {
  readonly begin: number;
  readonly end: number;
  readonly form: Buffer;
}

let server: Server;
let clock: TestClock;
let write: IntakeOptions['write'];
let intakes: WindowIntake[];
let written: Written[];

beforeEach(async () => {
  clock = new TestClock();
  intakes = [];
  written = [];
  // A copy: the intake uses the buffer again.
  write = (form, begin, end) => Promise.resolve(void written.push({ begin, end, form: Buffer.from(form) }));
  server = createServer();
  server.on('upgrade', (_request, socket) => {
    const buffers = Array.from({ length: BUFFERS }, () => Buffer.alloc(BUFFER_BYTES));
    const options = { clock, buffers, write: (...window: Parameters<typeof write>) => write(...window) };
    intakes.push(new WindowIntake(socket as Socket, options));
  });
  server.listen(0, HOST);
  await once(server, 'listening');
});

afterEach(async () => {
  for (const intake of intakes) intake.end();
  server.close();
  await once(server, 'close');
});

const port = (): number => (server.address() as AddressInfo).port;
const open = (timeoutMs = TIMEOUT_MS): Promise<WindowStream> =>
  WindowStream.open({ host: HOST, port: port(), path: PATH, timeoutMs });

/** Until the write of a window has begun. */
async function whenWriting(): Promise<void> {
  while (clock.timers.size === 0) await new Promise((resolve) => setImmediate(resolve));
}

it('brings windows of all lengths whole and in order, faster than they are written', async () => {
  const random = seededRandom(11);
  const sent = Array.from({ length: 40 }, (_, i) => {
    const length = i % 5 === 0 ? BUFFER_BYTES : 1 + Math.floor(random() * BUFFER_BYTES);
    return { begin: i * 2 ** 33, end: i * 2 ** 33 + length, form: Buffer.alloc(length, `${random()}`) };
  });
  const atOnce = write;
  let busy = 0;
  write = async (form, begin, end) => {
    expect(++busy).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    await atOnce(form, begin, end);
    busy--;
  };
  const stream = await open();
  await Promise.all(sent.map(({ begin, end, form }) => stream.send(begin, end, form)));
  stream.end();
  expect(written).toEqual(sent);
});

it('answers a window when it is written, not before', async () => {
  const going = Promise.withResolvers<void>();
  write = () => going.promise;
  const stream = await open();
  let isAnswered = false;
  const sent = stream.send(0, 8, Buffer.alloc(8)).then(() => (isAnswered = true));
  await whenWriting();
  expect(isAnswered).toBe(false);
  going.resolve();
  await sent;
  stream.end();
});

it('tells why a window is refused, also to a sender that has sent more, and takes none after it', async () => {
  const taken: number[] = [];
  write = (_form, begin) => {
    taken.push(begin);
    return begin === 2 ? Promise.reject(new Error('no space left on device')) : Promise.resolve();
  };
  const stream = await open();
  const form = Buffer.alloc(BUFFER_BYTES);
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, begin) => stream.send(begin, begin, form)));
  expect(outcomes.slice(0, 2).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
  const reasons = outcomes
    .slice(2)
    .map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'written'));
  expect(new Set(reasons)).toEqual(new Set(['Error: a window was refused: no space left on device']));
  expect(taken).toEqual([0, 1, 2]);
  await expect(stream.send(99, 99, form)).rejects.toThrow('no space left');
});

it.each([
  ['empty', 0],
  ['larger than a window can be', BUFFER_BYTES + 1],
])('refuses a window that is %s', async (_what, length) => {
  const socket = await windowConnection(port(), PATH);
  socket.write(windowFrame(0, 8, length));
  const answers: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => answers.push(chunk));
  await once(socket, 'end');
  socket.destroy();
  expect(Buffer.concat(answers).subarray(3).toString()).toBe(`a window of ${length} bytes`);
  expect(written).toEqual([]);
});

it('gives signs of life while a window is being written, and none else', async () => {
  const going = Promise.withResolvers<void>();
  write = () => going.promise;
  const socket = await windowConnection(port(), PATH);
  expect(clock.timers.size).toBe(0);
  socket.write(Buffer.concat([windowFrame(0, 8, 8), Buffer.alloc(8)]));
  await whenWriting();
  for (let i = 0; i < 2; i++) {
    clock.fire();
    expect(await once(socket, 'data')).toEqual([Buffer.of(FRAME_ALIVE)]);
  }
  going.resolve();
  expect(await once(socket, 'data')).toEqual([Buffer.of(FRAME_WRITTEN)]);
  expect(clock.timers.size).toBe(0);
  socket.destroy();
});

it('writes nothing of a window whose sender is gone before it was whole', async () => {
  const socket = await windowConnection(port(), PATH);
  socket.write(Buffer.concat([windowFrame(0, 8, 8), Buffer.alloc(8), windowFrame(8, 8, 1000), Buffer.alloc(999)]));
  await once(socket, 'data');
  socket.destroy();
  await Promise.all(intakes.map(({ done }) => done));
  expect(written.map(({ begin }) => begin)).toEqual([0]);
});

it('waits with its end until what is being written is written', async () => {
  const going = Promise.withResolvers<void>();
  write = () => going.promise;
  const stream = await open();
  const sent = stream.send(0, 8, Buffer.alloc(8));
  await whenWriting();
  const [intake] = intakes;
  let isDone = false;
  void intake?.done.then(() => (isDone = true));
  intake?.end();
  await expect(sent).rejects.toThrow('closed the connection');
  expect(isDone).toBe(false);
  going.resolve();
  await intake?.done;
  expect(isDone).toBe(true);
});

it('fails with what the server answered where it is no receiver of windows', async () => {
  const other = createServer((_request, response) => response.writeHead(404).end());
  other.listen(0, HOST);
  await once(other, 'listening');
  const { port: otherPort } = other.address() as AddressInfo;
  const opening = WindowStream.open({ host: HOST, port: otherPort, path: PATH, timeoutMs: TIMEOUT_MS });
  await expect(opening).rejects.toThrow('answered with 404');
  other.close();
});
