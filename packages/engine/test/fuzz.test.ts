/**
 * Seeded bad input for what a replica parses: frames of the data connection, gRPC messages, the files of its folder. It goes on or
 * refuses in words, takes no memory for what is only claimed, and touches no file outside of its folder.
 */
import { once } from 'node:events';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ReplicaService, SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { Code } from '@longhorn/shared-types/grpc/rpc-error';
import { serviceDefinition } from '@longhorn/shared-types/grpc/service';
import { openNodeFolder } from '../src/io/node/node-folder.ts';
import {
  FRAME_HELLO,
  FRAME_PING,
  FRAME_READ,
  FRAME_RESPONSE,
  FRAME_UNMAP,
  FRAME_WRITE,
} from '../src/protocol/replica-frame.ts';
import { FULL_SPEED } from '../src/sync/rebuild-control.ts';
import { SSYNC_PATH, startReceiver } from '../src/sync/receiver.ts';
import { FRAME_WRITTEN, STREAM_PATH } from '../src/sync/window-stream.ts';
import { DataClient, frame } from './data-client.ts';
import { FUZZ_MS, forSeeds, spoiled, type Pick } from './fuzz-seeds.ts';
import { startTestReplica, TestClock, volumeOf } from './replica-fixture.ts';
import { startReplicaIn } from './replica-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { windowConnection, windowFrame } from './window-connection.ts';

const HOST = '127.0.0.1';
const MIB = 1 << 20;
const SIZE = 4 * MIB;
/** Growth of buffers that is no leak and no claim taken at its word. */
const MEMORY_BYTES = 256 * MIB;
const DECOY = 'not of the replica';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
/** the replica's own, beside a decoy */
let path: string;
let outside: string[];
beforeEach(async () => {
  folder = await temporaryFolder();
  path = join(folder.path, 'replicas', 'v-1');
  mkdirSync(path, { recursive: true });
  writeFileSync(join(folder.path, 'decoy'), DECOY);
  writeFileSync(join(folder.path, 'replicas', 'decoy'), DECOY);
  outside = [];
});
afterEach(() => folder.remove());

/** Everything beside the replica's folder, with sizes. */
function seenOutside(): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(folder.path, { recursive: true, withFileTypes: true })) {
    const at = join(entry.parentPath, entry.name);
    const isOwn = at.startsWith(path) || at.startsWith(join(folder.path, 'replicas', 'run')) || at.includes('/host');
    if (!isOwn) found.push(entry.isFile() ? `${at} ${statSync(at).size} ${readFileSync(at, 'utf8').slice(0, 40)}` : at);
  }
  return found.toSorted();
}

it('frames: others are served all the same', { timeout: 60_000 + FUZZ_MS }, async () => {
  const replica = await startReplicaIn(path, SIZE, { isSyncAgentOn: false });
  try {
    await replica.control.ReplicaOpenEpoch({ epoch: 2, engineName: 'e' });
    outside = seenOutside();
    const before = process.memoryUsage();
    await forSeeds(150, async (pick) => {
      const client = await DataClient.connect({ port: replica.dataPort, host: '127.0.0.1' });
      client.send(...someFrames(pick));
      if (pick(2) === 0) client.socket.end();
      else client.socket.resetAndDestroy();
      await client.closed();
      const good = await DataClient.connect({ port: replica.dataPort, host: '127.0.0.1' });
      good.send(frame(1, FRAME_HELLO, 2, 0), frame(2, FRAME_PING, 0, 0), frame(3, FRAME_READ, 0, 4096));
      const types = (await good.answers(3)).map(({ type }) => type);
      if (types.some((type) => type !== FRAME_RESPONSE)) throw new Error(`a good client got ${types.join(', ')}`);
      good.end();
      await good.closed();
    });
    const after = process.memoryUsage();
    expect(after.rss - before.rss).toBeLessThan(MEMORY_BYTES);
    expect(seenOutside()).toEqual(outside);
  } finally {
    await replica.end();
  }
});

/** Good frames, some with changed bytes, lengths that nothing follows, and an end in the middle. */
function someFrames(pick: Pick): Buffer[] {
  const frames = [frame(1, FRAME_HELLO, [2, 2, 2, 1, 3][pick(5)] ?? 2, 0)];
  for (let seq = 2; seq < 3 + pick(12); seq++) {
    const offset = pick(3) === 0 ? pick(SIZE * 2) : pick(SIZE / 4096) * 4096;
    const length = pick(3) === 0 ? pick(70_000) : 4096 * pick(4);
    const kind = pick(5);
    if (kind < 2) frames.push(frame(seq, FRAME_WRITE, offset, length, Buffer.alloc(length, seq)));
    else if (kind === 2) frames.push(frame(seq, FRAME_READ, offset, length));
    else if (kind === 3) frames.push(frame(seq, FRAME_UNMAP, offset, length));
    else frames.push(frame(seq, pick(24), pick(2 ** 31), pick(2 ** 31)));
  }
  const changed = frames.map((bytes) => {
    const header = pick(4) === 0 ? spoiled(bytes.subarray(0, 26), pick) : bytes.subarray(0, 26);
    if (pick(12) === 0) header.writeUInt32LE(0xffff_ff00, 22);
    return Buffer.concat([header, bytes.subarray(26)]);
  });
  const last = changed.at(-1) ?? Buffer.alloc(0);
  return pick(3) === 0 ? [...changed.slice(0, -1), last.subarray(0, pick(last.length + 1))] : changed;
}

const HOSTILE = [
  '../decoy',
  '../../decoy',
  '/etc/hostname',
  '..',
  '.',
  '',
  'volume.meta',
  'volume-head-000.img',
  'a\0b',
  'x'.repeat(5000),
];

/** A protobuf message of any fields: numbers, words that look like paths, and messages within. */
function someMessage(pick: Pick, depth = 0): Buffer {
  const parts: Buffer[] = [];
  for (let count = pick(5); count >= 0; count--) {
    const field = 1 + pick(12);
    if (pick(3) === 0) {
      const digits = Array.from({ length: 1 + pick(9) }, () => 0x80 | pick(128));
      parts.push(Buffer.from([field << 3, ...digits, pick(128)]));
      continue;
    }
    const content =
      pick(4) === 0 && depth < 4 ? someMessage(pick, depth + 1) : Buffer.from(HOSTILE[pick(HOSTILE.length)] ?? '');
    const length = content.length < 128 ? [content.length] : [(content.length & 127) | 128, content.length >> 7];
    parts.push(Buffer.from([(field << 3) | 2, ...length]), content);
  }
  const message = Buffer.concat(parts);
  return pick(4) === 0 ? spoiled(message, pick).subarray(0, 1 + pick(message.length)) : message;
}

it('gRPC: any message is answered or refused, and the replica goes on', { timeout: 60_000 + FUZZ_MS }, async () => {
  const replica = await startReplicaIn(path, SIZE);
  const targets = [
    { port: replica.controlPort, paths: pathsOf(ReplicaService) },
    { port: replica.syncAgentPort, paths: pathsOf(SyncAgentService) },
  ].map(({ port, paths }) => ({ paths, client: new Client(`127.0.0.1:${port}`, credentials.createInsecure()) }));
  const codes = new Set<number>();
  try {
    outside = seenOutside();
    await forSeeds(400, async (pick) => {
      const { client, paths } = targets[pick(2)] ?? { client: null, paths: [] };
      const rpc = paths[pick(paths.length)] ?? '';
      codes.add(await answerOf(client, rpc, someMessage(pick)));
      await replica.control.ReplicaGet({});
    });
    expect(codes.size).toBeGreaterThan(2);
    expect(seenOutside()).toEqual(outside);
  } finally {
    for (const { client } of targets) client.close();
    await replica.end();
  }
});

const pathsOf = (service: Parameters<typeof serviceDefinition>[0]): string[] =>
  Object.values(serviceDefinition(service)).flatMap(({ path: rpc, responseStream }) => (responseStream ? [] : [rpc]));

/**
 * The status code of one call; copies that wait for a peer are not waited for. Internal is for what is no message at all, and for upstream's
 * error of an expansion. */
function answerOf(client: Client | null, rpc: string, message: Buffer): Promise<number> {
  const asIs = (value: Buffer): Buffer => value;
  return new Promise((resolve, reject) => {
    const deadline = { deadline: Date.now() + 300 };
    client?.makeUnaryRequest(rpc, asIs, asIs, message, deadline, (error: ServiceError | null) => {
      if (error?.code !== Code.Internal || /^(Error deserializing|\{"code":)/.test(error.details))
        resolve(error?.code ?? 0);
      else reject(new Error(`${rpc}: ${error.details}`));
    });
  });
}

it(
  'windows: a stream of them is written or refused, and the receiver goes on',
  { timeout: 60_000 + FUZZ_MS },
  async () => {
    outside = seenOutside();
    const files = await openNodeFolder(path);
    const options = { folder: files, name: 'a.img', clock: new TestClock(), pace: FULL_SPEED, log: () => undefined };
    const noted = { onBytes: () => undefined, onWritten: () => undefined };
    const { receiver, port } = await startReceiver({ ...options, ...noted }, HOST, { first: 0, count: 1, last: 0 });
    try {
      const opened = await fetch(`http://${HOST}:${port}${SSYNC_PATH}open?begin=0&end=${SIZE}&directIO=true`);
      expect(opened.status).toBe(200);
      await forSeeds(40, async (pick) => {
        const stream = await windowConnection(port, `${SSYNC_PATH}${STREAM_PATH}`);
        const ended = once(stream, 'close');
        for (let count = 1 + pick(4); count > 0; count--) stream.write(someWindow(pick));
        stream.end();
        // Whatever it answers: to a window that is cut short nothing.
        stream.resume();
        await ended;
        expect(statSync(join(path, 'a.img')).size).toBe(SIZE);
      });
      const stream = await windowConnection(port, `${SSYNC_PATH}${STREAM_PATH}`);
      const sound = Buffer.alloc(MIB, 'w');
      stream.write(Buffer.concat([windowFrame(0, MIB, 12 + MIB), windowForm([[0, MIB]]), sound]));
      expect(await once(stream, 'data')).toEqual([Buffer.of(FRAME_WRITTEN)]);
      stream.destroy();
      expect(readFileSync(join(path, 'a.img')).subarray(0, MIB).equals(sound)).toBe(true);
    } finally {
      await receiver.stop();
    }
    expect(seenOutside()).toEqual(outside);
  },
);

function windowForm(ranges: readonly (readonly [number, number])[]): Buffer {
  const form = Buffer.alloc(4 + ranges.length * 8);
  form.writeUInt32LE(ranges.length, 0);
  for (const [i, [start, length]] of ranges.entries()) {
    form.writeUInt32LE(start, 4 + i * 8);
    form.writeUInt32LE(length, 8 + i * 8);
  }
  return form;
}

/** Sound but for what is changed in its head and in its list of ranges. */
function someWindow(pick: Pick): Buffer {
  const ranges: [number, number][] = [];
  for (let start = 0; start < 512 << 10; start += (1 + pick(40)) * 4096) ranges.push([start, 4096]);
  const form = windowForm(ranges);
  const data = Buffer.alloc(ranges.length * 4096, 'f');
  const head = windowFrame(pick(8) * (512 << 10), 512 << 10, form.length + data.length);
  const isHeadSpoiled = pick(3) === 0;
  return Buffer.concat([isHeadSpoiled ? spoiled(head, pick) : head, isHeadSpoiled ? form : spoiled(form, pick), data]);
}

it('files: a replica opens or says what is wrong, and stays in its folder', { timeout: 60_000 + FUZZ_MS }, async () => {
  const good = join(folder.path, 'good');
  mkdirSync(good);
  await writeReplica(good);
  const names = readdirSync(good).filter((name) => !name.endsWith('.img') && statSync(join(good, name)).size < 65_536);
  const outcomes = { opened: 0, refused: 0 };
  outside = seenOutside();
  await forSeeds(150, async (pick) => {
    rmSync(path, { recursive: true });
    cpSync(good, path, { recursive: true });
    for (let count = pick(2); count >= 0; count--) {
      const name = names[pick(names.length)] ?? '';
      writeFileSync(join(path, name), damagedFile(readFileSync(join(path, name)), pick));
    }
    outcomes[await openAndClose(path)]++;
  });
  expect(Math.min(outcomes.opened, outcomes.refused), JSON.stringify(outcomes)).toBeGreaterThan(10);
  expect(seenOutside()).toEqual(outside);
});

/** Two snapshots and a head, closed in order. */
async function writeReplica(at: string): Promise<void> {
  const replica = await startTestReplica(await openNodeFolder(at), { hasRevisionCounter: true });
  await replica.server.create(SIZE);
  await replica.server.openEpoch(1, 'e');
  for (const name of ['one', 'two']) {
    volumeOf(replica).write(Buffer.alloc(8192, name), 0, 8192, 4096);
    await replica.server.snapshot(name, true, '2026-01-01T00:00:00Z', { key: name });
  }
  await replica.server.close();
}

const WORDS = [
  null,
  -1,
  2 ** 53,
  1e300,
  '',
  true,
  [],
  {},
  '../decoy',
  '../../decoy',
  '/etc/hostname',
  'volume-head-001.img',
  '9'.repeat(400),
];

/** Another value in a JSON file, or other bytes. */
function damagedFile(bytes: Buffer, pick: Pick): Buffer {
  if (pick(4) === 0) return pick(2) === 0 ? spoiled(bytes, pick) : bytes.subarray(0, pick(bytes.length + 1));
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (typeof value !== 'object' || value === null) return spoiled(bytes, pick);
    const keys = Object.keys(value);
    const changed = { ...value, [keys[pick(keys.length)] ?? 'Name']: WORDS[pick(WORDS.length)] };
    return Buffer.from(JSON.stringify(changed));
  } catch {
    return spoiled(bytes, pick);
  }
}

async function openAndClose(at: string): Promise<'opened' | 'refused'> {
  const replica = await startTestReplica(at, { hasRevisionCounter: true }).catch((error: unknown) => inWords(error));
  if (replica === null) return 'refused';
  try {
    await replica.server.openEpoch(2, 'e');
    await volumeOf(replica).read(Buffer.alloc(MIB), 0, MIB, 0);
    return 'opened';
  } catch (error) {
    inWords(error);
    return 'refused';
  } finally {
    await replica.server.close();
  }
}

/** A mistake of ours is no refusal. */
function inWords(error: unknown): null {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError || error.message === '')
    throw error;
  return null;
}
