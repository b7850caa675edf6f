import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  FRAME_HEADER_BYTES,
  frameOffset,
  frameSeq,
  frameType,
  writeFrameHeader,
} from '../../protocol/replica-frame.ts';
import type { CoreClock, MemberFailure } from './member-link.ts';
import { openReplicaLink, type ReplicaLink } from './replica-link.ts';

const READ = 0;
const RESPONSE = 2;
const ERROR = 3;
const EOF = 4;
const CLOSE = 5;
const PING = 6;
const HELLO = 18;

/** Stands still until a test moves it. */
class HandClock implements CoreClock {
  timeMs = 1000;
  nowMs(): number {
    return this.timeMs;
  }
  every(): () => void {
    return () => undefined;
  }
  soon(run: () => void): void {
    queueMicrotask(run);
  }
}

let folder: string;
let server: Server;
let clock: HandClock;
let peer: Socket;
let received: Buffer;
let link: ReplicaLink | null;
let told: string[];
/** what the kernel would say: the other host acknowledges nothing */
let isHostGone: boolean;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'link-'));
  clock = new HandClock();
  received = Buffer.alloc(0);
  told = [];
  isHostGone = false;
  link = null;
  server = createServer((socket) => {
    peer = socket;
    socket.on('data', (data) => (received = Buffer.concat([received, data])));
    socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
});

afterEach(async () => {
  link?.close();
  peer.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

async function open(epoch = 0, timeoutMs = 5000): Promise<ReplicaLink> {
  const target = { path: join(folder, 's') };
  const capabilities = ['flush', 'epoch'];
  return openReplicaLink({
    target,
    address: 'r1',
    capabilities,
    epoch,
    clock,
    timeoutMs,
    isPeerSilent: () => isHostGone,
  });
}

async function started(): Promise<ReplicaLink> {
  link = await open();
  link.start({
    answered: (seq, answer, text) => told.push(`answered ${seq} ${answer} ${text}`.trimEnd()),
    pinged: (sentAtMs) => told.push(`pinged ${sentAtMs}`),
    answersEnd: () => undefined,
    failed: (failure: MemberFailure) => told.push(`failed ${failure.reason}: ${failure.detail}`),
  });
  await expect.poll(() => peer !== undefined && !peer.destroyed).toBe(true);
  return link;
}

function frame(seq: number, type: number, payload = Buffer.alloc(0), claimed = payload.length): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(header, 0, seq, type, 0, payload.length, claimed);
  return Buffer.concat([header, payload]);
}

const lastTold = async (text: string | RegExp): Promise<void> => {
  await expect.poll(() => told.at(-1)).toMatch(text);
};

describe('opening', () => {
  it('announces the epoch and waits for the answer', async () => {
    const opening = open(7);
    await expect.poll(() => received.length).toBe(FRAME_HEADER_BYTES);
    expect([frameType(received, 0), frameOffset(received, 0)]).toEqual([HELLO, 7]);
    peer.write(frame(frameSeq(received, 0), RESPONSE));
    link = await opening;
    expect(link).toMatchObject({ isLocal: true, isOrdered: true, canFlush: true });
  });

  it('rejects with the replica’s words', async () => {
    const opening = open(7);
    const words = opening.then(
      () => 'opened',
      (error: Error) => error.message,
    );
    await expect.poll(() => received.length).toBe(FRAME_HEADER_BYTES);
    peer.write(frame(frameSeq(received, 0), ERROR, Buffer.from('epoch 7 is fenced by epoch 9')));
    expect(await words).toBe('epoch 7 is fenced by epoch 9');
  });

  it('rejects when nobody answers in time', async () => {
    await expect(open(7, 50)).rejects.toThrow('no answer within 50 ms');
  });

  it('tells of a loss between opening and starting', async () => {
    link = await open();
    await expect.poll(() => peer !== undefined).toBe(true);
    peer.destroy();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    const failures: string[] = [];
    await expect
      .poll(() => {
        link?.start({
          answered: () => undefined,
          pinged: () => undefined,
          answersEnd: () => undefined,
          failed: (failure) => failures.push(failure.reason),
        });
        return failures[0];
      })
      .toBe('connection-lost');
  });
});

describe('answers', () => {
  it('puts the data of reads where they belong, at every split point', async () => {
    const opened = await started();
    const data = Buffer.from(Array.from({ length: 600 }, (_, i) => i % 256));
    const bytes = Buffer.concat([frame(4097, RESPONSE, data), frame(4098, RESPONSE), frame(4099, RESPONSE, data)]);
    for (let at = 1; at < bytes.length; at += 17) {
      told.length = 0;
      const into = [Buffer.alloc(700), Buffer.alloc(700)] as const;
      opened.expectData(4097, into[0], 50, 600);
      opened.expectAnswer(4098);
      opened.expectData(4099, into[1], 100, 600);
      peer.write(bytes.subarray(0, at));
      await new Promise(setImmediate);
      peer.write(bytes.subarray(at));
      await expect.poll(() => told.length).toBe(3);
      expect(told).toEqual(['answered 4097 0', 'answered 4098 0', 'answered 4099 0']);
      expect(into[0].subarray(50, 650).equals(data)).toBe(true);
      expect(into[1].subarray(100).equals(data)).toBe(true);
    }
  });

  it('receives large reads at their destination', async () => {
    const opened = await started();
    const data = Buffer.alloc(5 << 20, 0x3c);
    data.writeUInt32LE(0x12345678, 3 << 20);
    const into = Buffer.alloc(data.length + 10);
    opened.expectData(4097, into, 10, data.length);
    opened.expectAnswer(4098);
    peer.write(Buffer.concat([frame(4097, RESPONSE, data), frame(4098, RESPONSE)]));
    await lastTold('answered 4098 0');
    expect(into.subarray(10).equals(data)).toBe(true);
  });

  it('tells errors with the replica’s words, a full disk as such, a short read as an error', async () => {
    const opened = await started();
    for (const seq of [4097, 4098]) opened.expectAnswer(seq);
    opened.expectData(4099, Buffer.alloc(512), 0, 512);
    peer.write(frame(4097, ERROR, Buffer.from('input/output error')));
    peer.write(frame(4098, ERROR, Buffer.from('write /a: no space left on device')));
    peer.write(frame(4099, EOF, Buffer.alloc(100)));
    await lastTold('answered 4099');
    expect(told).toEqual([
      'answered 4097 2 input/output error',
      'answered 4098 1 write /a: no space left on device',
      'answered 4099 2 short read',
    ]);
  });

  it.each([
    {
      name: 'another magic',
      bytes: Buffer.alloc(26, 0x77),
      told: 'failed protocol: wrong API version received: 0x7777',
    },
    {
      name: 'an unknown number',
      bytes: frame(8193, RESPONSE),
      told: 'failed protocol: answer to unknown request 8193',
    },
    { name: 'a giant length', bytes: frame(4097, RESPONSE, Buffer.alloc(0), 0xffff_ffff), told: /failed protocol/ },
    { name: 'less data than asked for', bytes: frame(4097, RESPONSE, Buffer.alloc(5)), told: /failed protocol/ },
    { name: 'a giant error text', bytes: frame(4097, ERROR, Buffer.alloc(0), 1 << 20), told: /failed protocol/ },
    { name: 'data nobody asked for', bytes: frame(4098, RESPONSE, Buffer.alloc(8)), told: /failed protocol/ },
    { name: 'a request', bytes: frame(4097, READ), told: /failed protocol/ },
    { name: 'its farewell', bytes: frame(0, CLOSE), told: /failed connection-lost/ },
  ])('fails on $name, once', async ({ bytes, told: expected }) => {
    const opened = await started();
    opened.expectData(4097, Buffer.alloc(512), 0, 512);
    opened.expectAnswer(4098);
    peer.write(Buffer.concat([bytes, bytes, Buffer.alloc(4096, 0xff)]));
    await lastTold(expected);
    await new Promise(setImmediate);
    expect(told).toHaveLength(1);
  });

  it('fails when the connection breaks, and says nothing once it is closed', async () => {
    await started();
    peer.destroy();
    await lastTold(/failed connection-lost/);
    told.length = 0;
    const second = await started();
    second.close();
    peer.destroy();
    await new Promise(setImmediate);
    expect(told).toEqual([]);
  });
});

describe('time', () => {
  /** Half seconds, as the core ticks. */
  const pass = (opened: ReplicaLink, ms: number): void => {
    for (const end = clock.timeMs + ms; clock.timeMs < end;) {
      clock.timeMs += 500;
      opened.tick(clock.timeMs, 8000);
    }
  };

  it('pings when idle, and tells when the answered ping was sent', async () => {
    const opened = await started();
    pass(opened, 1500);
    expect(received.length).toBe(0);
    pass(opened, 500);
    const sentAtMs = clock.timeMs;
    await expect.poll(() => received.length).toBe(FRAME_HEADER_BYTES);
    expect(frameType(received, 0)).toBe(PING);
    pass(opened, 1000);
    peer.write(frame(frameSeq(received, 0), RESPONSE));
    await lastTold(`pinged ${sentAtMs}`);
  });

  it('fails on a ping that is refused', async () => {
    const opened = await started();
    pass(opened, 2000);
    await expect.poll(() => received.length).toBe(FRAME_HEADER_BYTES);
    peer.write(frame(frameSeq(received, 0), ERROR, Buffer.from('ping failure: replica state closed')));
    await lastTold('failed ping: ping failure: replica state closed');
  });

  it('fails when I/O gets no answer for the timeout', async () => {
    const opened = await started();
    opened.expectAnswer(4097);
    pass(opened, 8500);
    expect(told).toEqual(['failed timeout: r/w timeout']);
  });

  it('fails when a ping gets no answer for the timeout', async () => {
    const opened = await started();
    pass(opened, 2000 + 8500);
    expect(told).toEqual(['failed timeout: no answer to a ping']);
  });

  it('does not hold the time against the replica in which this process was stopped', async () => {
    const opened = await started();
    opened.expectAnswer(4097);
    pass(opened, 1000);
    clock.timeMs += 60_000;
    opened.tick(clock.timeMs, 8000);
    expect(told).toEqual([]);
    pass(opened, 8500);
    expect(told).toHaveLength(1);
  });

  it('gives a host that acknowledges nothing five eighths of the timeout', async () => {
    const opened = await started();
    opened.expectAnswer(4097);
    pass(opened, 1000);
    isHostGone = true;
    pass(opened, 5000);
    expect(told).toEqual([]);
    pass(opened, 500);
    expect(told).toEqual(['failed timeout: its host acknowledges nothing']);
  });

  it('forgives a host that was silent for a while', async () => {
    const opened = await started();
    for (const [gone, ms] of [
      [true, 4500],
      [false, 500],
      [true, 4500],
    ] as const) {
      isHostGone = gone;
      pass(opened, ms);
    }
    expect(told).toEqual([]);
  });
});
