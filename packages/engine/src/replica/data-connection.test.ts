import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { frame, parseFrames, type AnswerFrame } from '../../test/data-client.ts';
import { startTestReplica, volumeOf, type TestReplica } from '../../test/replica-fixture.ts';
import { RECEIVE_BUFFER_BYTES, UNSENT_BYTES_MAX } from '../limits.ts';
import {
  FRAME_ERROR,
  FRAME_FLUSH,
  FRAME_FLUSHED,
  FRAME_HELLO,
  FRAME_PING,
  FRAME_READ,
  FRAME_RESPONSE,
  FRAME_UNMAP,
  FRAME_WRITE,
} from '../protocol/replica-frame.ts';
import type { AnswerSink } from './answer-buffer.ts';
import { DataConnection } from './data-connection.ts';

const SIZE = 1 << 20;

/** A socket that keeps what is written; `isStuck`: the peer does not read. */
class FakeSink implements AnswerSink {
  written: Buffer[] = [];
  isStuck = false;
  destroyedWith: string | null = null;
  unsentBytes = 0;

  write(bytes: Buffer, start: number, end: number): void {
    this.written.push(Buffer.from(bytes.subarray(start, end)));
    if (this.isStuck) this.unsentBytes += end - start;
  }

  resumeReading(): void {
    feed();
  }

  destroy(error?: Error): void {
    this.destroyedWith = error?.message ?? '';
  }

  destroySoon(): void {
    this.destroyedWith = '';
  }

  get answers(): AnswerFrame[] {
    return parseFrames(Buffer.concat(this.written)).frames;
  }
}

let replica: TestReplica;
let folder: MemoryFolder;
let sink: FakeSink;
let connection: DataConnection;
let buffer: Buffer;
let pendingChunks: Buffer[];

function connect(): void {
  sink = new FakeSink();
  buffer = Buffer.allocUnsafe(RECEIVE_BUFFER_BYTES);
  pendingChunks = [];
  connection = new DataConnection(1, replica.io, buffer, sink);
}

/** Gives the waiting chunks to the connection as a socket would, until it does not want more. */
function feed(): void {
  for (let chunk = pendingChunks.shift(); chunk !== undefined; chunk = pendingChunks.shift()) {
    chunk.copy(buffer);
    if (!connection.onChunk(chunk.length)) return;
  }
}

function receive(...chunks: Buffer[]): void {
  pendingChunks.push(...chunks);
  feed();
}

/** Lets promises settle. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

beforeEach(async () => {
  folder = new MemoryFolder();
  replica = await startTestReplica(folder);
  await replica.server.create(SIZE);
  await replica.server.open();
  connect();
});

afterEach(async () => {
  await replica.server.close();
});

const block = (fill: string, blocks = 1): Buffer => Buffer.alloc(4096 * blocks, fill);

function content(length = SIZE): Buffer {
  const bytes = Buffer.alloc(length);
  volumeOf(replica).readCached(bytes, 0, length, 0);
  return bytes;
}

/** A socket that may hold bytes where they lie, and shows what would be on the wire then. */
class LateSink extends FakeSink {
  held: Uint8Array[] = [];

  override write(bytes: Buffer, start: number, end: number): void {
    if (!this.isStuck) return super.write(bytes, start, end);
    this.held.push(bytes.subarray(start, end));
    this.unsentBytes += end - start;
    return undefined;
  }
}

describe('data connection', () => {
  it('does not write over answers that are still in the socket', () => {
    const late = new LateSink();
    connection = new DataConnection(1, replica.io, buffer, late);
    receive(frame(1, FRAME_PING, 0, 0)); // taken at once
    late.isStuck = true;
    receive(frame(2, FRAME_PING, 0, 0)); // from the same buffer, held by the socket
    for (let seq = 3; seq < 8; seq++) receive(frame(seq, FRAME_PING, 0, 0));
    const onWire = (): number[] => parseFrames(Buffer.concat(late.held)).frames.map(({ seq }) => seq);
    expect(onWire()).toEqual([2, 3, 4, 5, 6, 7]);
    late.held = [];
    late.unsentBytes = 0;
    connection.onDrain();
    receive(frame(8, FRAME_PING, 0, 0)); // held; its buffer is one of those that came back
    receive(frame(9, FRAME_PING, 0, 0));
    receive(frame(10, FRAME_PING, 0, 0));
    expect(onWire()).toEqual([8, 9, 10]);
  });

  const session = Buffer.concat([
    frame(1, FRAME_WRITE, 4096, 4096, block('a')),
    frame(2, FRAME_WRITE, 8192, 4096, block('b')),
    frame(3, FRAME_WRITE, 8192 + 100, 50, Buffer.alloc(50, 'c')),
    frame(4, FRAME_READ, 8192, 4096),
    frame(5, FRAME_PING, 0, 0),
    frame(6, FRAME_WRITE, 4096 * 5 + 512, 5000, Buffer.alloc(5000, 'd')),
    frame(77, 99, 0, 0, Buffer.from('an unknown type is passed over')),
    frame(7, FRAME_UNMAP, 4096, 4096),
    frame(8, FRAME_READ, 0, 3 * 4096),
  ]);

  it('gives the same answers and content wherever the stream is split', { timeout: 120_000 }, () => {
    receive(session);
    const expectedBytes = Buffer.concat(sink.written);
    const expectedContent = content(16 * 4096);
    expect(sink.answers.map(({ seq, type }) => [seq, type])).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((seq) => [seq, FRAME_RESPONSE]),
    );
    expect(expectedContent.subarray(8192 + 99, 8192 + 151).toString()).toBe(`b${'c'.repeat(50)}b`);
    expect(expectedContent.subarray(4096, 8192).every((byte) => byte === 0)).toBe(true);
    const wrongSplits: number[] = [];
    for (let split = 1; split < session.length; split++) {
      volumeOf(replica).unmap(0, 16 * 4096, () => false);
      connect();
      receive(session.subarray(0, split), session.subarray(split));
      const isSame = content(16 * 4096).equals(expectedContent) && Buffer.concat(sink.written).equals(expectedBytes);
      if (!isSame) wrongSplits.push(split);
    }
    expect(wrongSplits).toEqual([]);
  });

  it('takes a stream byte by byte', () => {
    receive(...[...session].map((byte) => Buffer.from([byte])));
    expect(sink.answers).toHaveLength(8);
  });

  it('leaves every block old or new when the connection breaks in a write', () => {
    receive(frame(1, FRAME_WRITE, 0, 12288, block('o', 3)));
    const overwrite = frame(2, FRAME_WRITE, 0, 12288, block('n', 3));
    receive(overwrite.subarray(0, 26 + 4096 + 1000));
    connection.close();
    expect(content(12288).equals(Buffer.concat([block('n'), block('o', 2)]))).toBe(true);
    expect(sink.answers).toHaveLength(1);
  });

  it.each([
    ['a wrong magic', Buffer.from('GET / HTTP/1.1\r\nHost: somebody\r\n\r\n'), 'wrong API version received: 0x4547'],
    [
      'a giant payload',
      frame(1, FRAME_WRITE, 0, 0xffffffff).fill(0xff, 22, 26),
      /frame of 4294967295 bytes is above the limit/,
    ],
    ['a giant read', frame(1, FRAME_READ, 0, 0x7fffffff), /frame of 2147483647 bytes is above the limit/],
  ])('closes the connection for %s', (_name, bytes, message) => {
    receive(bytes);
    expect(sink.destroyedWith).toMatch(message);
    receive(frame(2, FRAME_PING, 0, 0));
    expect(sink.answers).toEqual([]);
  });

  it.each([
    ['a read past the end', frame(1, FRAME_READ, SIZE - 512, 1024), 'unexpected EOF'],
    ['a write past the end', frame(1, FRAME_WRITE, SIZE, 512, Buffer.alloc(512)), 'unexpected EOF'],
    ['an unmap past the end', frame(1, FRAME_UNMAP, 4096, SIZE), 'unexpected EOF'],
    ['a negative offset', frame(1, FRAME_READ, 0, 512).fill(0xff, 10, 18), 'unexpected EOF'],
  ])('answers %s with an error and goes on', (_name, bytes, text) => {
    receive(bytes, frame(2, FRAME_PING, 0, 0));
    const [refused, pong] = sink.answers;
    expect([refused?.type, refused?.data.toString()]).toEqual([FRAME_ERROR, text]);
    expect(pong).toMatchObject({ seq: 2, type: FRAME_RESPONSE });
    expect(Buffer.concat(sink.written).subarray(10, 18)).toEqual(bytes.subarray(10, 18));
  });

  it('answers cold reads when the device has given them', async () => {
    receive(frame(1, FRAME_WRITE, 0, 4096, block('x')));
    folder.isCold = () => true;
    await replica.server.reload();
    receive(frame(2, FRAME_READ, 0, 8192), frame(3, FRAME_PING, 0, 0));
    expect(sink.answers.map(({ seq }) => seq)).toEqual([1, 3]);
    await settle();
    expect(sink.answers[2]).toMatchObject({ seq: 2, type: FRAME_RESPONSE, size: 8192 });
    expect(sink.answers[2]?.data.equals(Buffer.concat([block('x'), block('\0')]))).toBe(true);
  });

  it('stops reading while the peer does not take its answers', async () => {
    sink.isStuck = true;
    const reads = Array.from({ length: 60 }, (_, i) => frame(i, FRAME_READ, 0, 200_000));
    receive(...reads);
    const taken = sink.answers.length;
    expect(taken).toBeLessThan(60);
    expect(sink.unsentBytes).toBeLessThan(UNSENT_BYTES_MAX + 400_000);
    sink.isStuck = false;
    sink.unsentBytes = 0;
    connection.onDrain();
    await settle();
    expect(sink.answers).toHaveLength(60);
  });

  it('waits while the chain is changed', async () => {
    let release: () => void = () => undefined;
    const change = replica.io.gate.exclusive(() => new Promise<void>((resolve) => (release = resolve)));
    receive(frame(1, FRAME_WRITE, 0, 4096, block('w')), frame(2, FRAME_PING, 0, 0));
    expect(sink.answers).toEqual([]);
    await settle();
    release();
    await change;
    expect(sink.answers.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it('answers a flush after the files were synced, and drops flushed regions only when told', async () => {
    const regions = (): number[] => [...replica.io.regions.bitmap().subarray(0, 1)];
    receive(frame(1, FRAME_WRITE, 0, 4096, block('1')), frame(2, FRAME_FLUSH, 0, 0));
    receive(frame(3, FRAME_WRITE, 65536, 4096, block('2')));
    expect(sink.answers.map(({ seq }) => seq)).toEqual([1, 3]);
    await settle();
    expect(sink.answers.map(({ seq }) => seq)).toEqual([1, 3, 2]);
    expect(regions()).toEqual([3]);
    receive(frame(4, FRAME_FLUSHED, 99, 0));
    expect(regions()).toEqual([3]);
    receive(frame(5, FRAME_FLUSHED, 2, 0));
    expect(regions()).toEqual([2]);
  });

  it('answers a full disk with an error of upstream’s text', () => {
    folder.disk.freeBlocks = 1;
    receive(frame(1, FRAME_WRITE, 0, 8192, block('f', 2)));
    expect(sink.answers[0]).toMatchObject({ seq: 1, type: FRAME_ERROR });
    expect(sink.answers[0]?.data.toString()).toContain('no space left on device');
    folder.disk.freeBlocks = 10;
    receive(frame(2, FRAME_WRITE, 0, 8192, block('g', 2)));
    expect(sink.answers[1]).toMatchObject({ seq: 2, type: FRAME_RESPONSE });
  });

  describe('with epochs', () => {
    beforeEach(async () => {
      await replica.server.openEpoch(5, 'e');
    });

    it.each([
      ['without HELLO', frame(1, FRAME_PING, 0, 0), 'epoch 0 is fenced by epoch 5'],
      ['of a lower epoch', frame(1, FRAME_HELLO, 4, 0), 'epoch 4 is fenced by epoch 5'],
    ])('refuses and ends a connection %s', (_name, first, text) => {
      receive(first);
      expect(sink.answers.map(({ type, data }) => [type, data.toString()])).toEqual([[FRAME_ERROR, text]]);
      expect(sink.destroyedWith).toBe('');
    });

    it('executes nothing for an epoch that has not opened it yet', () => {
      receive(frame(1, FRAME_HELLO, 6, 0), frame(2, FRAME_WRITE, 0, 4096, block('q')));
      expect(sink.answers.map(({ type }) => type)).toEqual([FRAME_RESPONSE, FRAME_ERROR]);
      expect(content(4096).equals(block('\0'))).toBe(true);
    });

    it('refuses the engine of before in the middle of its stream', async () => {
      receive(frame(1, FRAME_HELLO, 5, 0), frame(2, FRAME_WRITE, 0, 4096, block('5')));
      await replica.server.openEpoch(6, 'f');
      receive(frame(3, FRAME_WRITE, 0, 4096, block('6')));
      expect(sink.answers.at(-1)?.data.toString()).toBe('epoch 5 is fenced by epoch 6');
      expect(content(4096).equals(block('5'))).toBe(true);
    });
  });

  it('says why when the replica is not open', async () => {
    await replica.server.close();
    receive(frame(1, FRAME_READ, 0, 512), frame(2, FRAME_PING, 0, 0));
    expect(sink.answers.map(({ data }) => data.toString())).toEqual([
      'replica no longer exist',
      'ping failure: replica state closed',
    ]);
  });
});

describe('an unmap that takes a while', () => {
  async function unmapped(meanwhile: () => void): Promise<Buffer> {
    receive(frame(1, FRAME_WRITE, 0, 4096, block('a')));
    let go = (): void => undefined;
    replica.io.markChainRemoved = () => new Promise((resolve) => (go = resolve));
    receive(frame(2, FRAME_UNMAP, 0, 4096));
    await settle();
    meanwhile();
    go();
    await settle();
    return content(4096);
  }

  it('is done', async () => {
    expect((await unmapped(() => undefined)).equals(Buffer.alloc(4096))).toBe(true);
  });

  it('does nothing more once another engine was let in', async () => {
    expect((await unmapped(() => connection.close())).equals(block('a'))).toBe(true);
  });

  it('waits for a change of the chain that goes on', async () => {
    let end = (): void => undefined;
    const closed = (): void => void replica.io.gate.exclusive(() => new Promise<void>((resolve) => (end = resolve)));
    expect((await unmapped(closed)).equals(block('a'))).toBe(true);
    end();
    await settle();
    expect(content(4096).equals(Buffer.alloc(4096))).toBe(true);
  });
});
