/**
 * Seeded bad input for the NBD frontend: handshakes, requests, and ends at every step. Each stream of requests is held against what the
 * protocol says of it (`test/fuzz-oracle.ts`): the operations that reach the volume, and every byte of the replies.
 *
 */
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { NetConnectOpts } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIRST_SEED, FUZZ_MS, forSeeds, pickOf, type Pick } from '../../../test/fuzz-seeds.ts';
import { seededRandom } from '../../../test/seeded-random.ts';
import type { Frontend } from '../frontend.ts';
import { Handshake } from './handshake.ts';
import { openNbdFrontend, type NbdListen } from './nbd-frontend.ts';
import { NBD_CONNECTIONS_MAX, NBD_PAYLOAD_MAX, NBD_TLS_UPGRADES_MAX } from './nbd-limits.ts';
import { checkReplies, expectationOf, type Expectation, type FuzzMode } from './test/fuzz-oracle.ts';
import { pieces, someHandshake, someRequests } from './test/fuzz-sessions.ts';
import { FUZZ_VOLUME_BYTES, fuzzAllocation, fuzzCall, fuzzContent, FuzzTarget } from './test/fuzz-target.ts';
import { contextQueries, NbdClient, parseReply, request } from './test/nbd-client.ts';
import { NBD_TEST_TLS } from './test/tls-test-certificates.ts';

const MIB = 1 << 20;
const MODES: readonly FuzzMode[] = ['simple', 'structured', 'context'];
/** A client that has no answer for this long counts as forgotten. */
const ANSWER_MS = 30_000;
const { authority, server, client: ownClient } = NBD_TEST_TLS;
const TRUSTED = { ca: authority.certificate, cert: ownClient.certificate, key: ownClient.key };

let folder: string;
let unix: NbdListen;
let tls: NbdListen;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nbd-fuzz-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  unix = { unixPath: join(folder, 'vol.sock') };
  const files = {
    certificatePath: file('tls.crt', server.certificate),
    keyPath: file('tls.key', server.key),
    caPath: file('ca.crt', authority.certificate),
  };
  tls = { host: '127.0.0.1', port: 0, tls: { files, logger: pino({ level: 'silent' }) } };
});

afterAll(() => rmSync(folder, { recursive: true }));

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

async function serve(listen: NbdListen, target: FuzzTarget): Promise<{ frontend: Frontend; to: NetConnectOpts }> {
  const allocation = async (offset: number, length: number): Promise<number[]> => {
    await turn();
    return fuzzAllocation(offset, length);
  };
  const frontend = await openNbdFrontend({ target, exportName: 'vol', listen, allocation });
  if ('unixPath' in listen) return { frontend, to: { path: listen.unixPath } };
  return { frontend, to: { host: '127.0.0.1', port: Number(/:(\d+)\//.exec(frontend.endpoint())?.[1]) } };
}

async function greeted(to: NetConnectOpts): Promise<NbdClient> {
  const client = new NbdClient(to);
  await client.greet();
  if ('port' in to) await client.startTls(TRUSTED);
  return client;
}

async function enteredAs(mode: FuzzMode, to: NetConnectOpts): Promise<NbdClient> {
  const client = await greeted(to);
  if (mode !== 'simple') await client.option(8);
  if (mode === 'context') await client.option(10, contextQueries('vol', 'base:allocation'));
  await client.enterNow();
  return client;
}

/** Rejects when the other side neither answers nor ends. */
async function inTime(what: string, wait: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer`)), ANSWER_MS);
  });
  await Promise.race([wait, late]).finally(() => clearTimeout(timer));
}

interface Session {
  /** Made by the server, all of them unless the client went away. */
  readonly calls: readonly string[];
  readonly isWhole: boolean;
}

async function sendInPieces(client: NbdClient, bytes: Buffer, pick: Pick): Promise<void> {
  for (const piece of pieces(bytes, pick)) {
    if (client.isEnded) return;
    client.send(piece);
    if (pick(3) === 0) await turn();
  }
}

async function fuzzRequests(to: NetConnectOpts, pick: Pick, id: number): Promise<Session> {
  const mode = MODES[pick(3)] as FuzzMode;
  const client = await enteredAs(mode, to);
  const all = someRequests(pick, id);
  const goesAway = pick(4) === 0;
  const bytes = goesAway ? all.subarray(0, pick(all.length + 1)) : all;
  const expected: Expectation = expectationOf(bytes, mode);
  const replyBytes = [...expected.replies.values()].reduce((sum, reply) => sum + reply.length, 0);
  await sendInPieces(client, bytes, pick);
  if (goesAway) await client.has(pick(replyBytes + 1));
  else await inTime(`client ${id}`, expected.end === 'open' ? client.has(replyBytes) : client.ended());
  const received = client.rest();
  client.socket.destroy();
  checkReplies(received, expected, !goesAway && expected.isAnswered);
  return { calls: expected.calls, isWhole: !goesAway };
}

/** A stream of options gets answers that are well formed. */
async function fuzzHandshake(to: NetConnectOpts, pick: Pick): Promise<Session> {
  const client = new NbdClient(to);
  await sendInPieces(client, someHandshake(pick), pick);
  client.socket.end();
  await inTime('handshake', client.ended());
  const received = client.rest();
  let at = 18;
  while (received.length - at >= 20 && received.readBigUInt64BE(at) === 0x3e889045565a9n) {
    at += 20 + received.readUInt32BE(at + 16);
  }
  // The answer to EXPORT_NAME, with its zeros or without, or a part of an answer.
  const left = received.length - at;
  if (left >= 20 && left !== 134) throw new Error(`no answer at ${at}: ${received.toString('hex', at, at + 40)}`);
  return { calls: [], isWhole: true };
}

/** Somebody who does everything right all the while. */
async function witness(to: NetConnectOpts, pick: Pick, isOver: () => boolean): Promise<Session> {
  const client = await enteredAs('simple', to);
  const calls: string[] = [];
  for (let left = 3; left > 0; left -= isOver() ? 1 : 0) {
    const length = 1 + pick(64 << 10);
    const offset = pick(MIB);
    client.send(request(0, calls.length, offset, length));
    await inTime('witness', client.has(16 + length));
    const reply = parseReply(await client.take(16));
    if (reply.error !== 0 || reply.cookie !== calls.length) throw new Error(`witness: ${JSON.stringify(reply)}`);
    if (!(await client.take(length)).equals(fuzzContent(offset, length))) throw new Error('witness: wrong data');
    calls.push(fuzzCall('read', offset, length));
  }
  client.socket.destroy();
  return { calls, isWhole: true };
}

/** All calls of the sessions were made, none besides, but for sessions that may have ended before. */
function checkCalls(calls: readonly string[], sessions: readonly Session[]): void {
  const left = new Map<string, number>();
  for (const call of calls) left.set(call, (left.get(call) ?? 0) + 1);
  const takeOff = (call: string): boolean => {
    const count = left.get(call) ?? 0;
    if (count > 0) left.set(call, count - 1);
    return count > 0;
  };
  for (const call of sessions.filter(({ isWhole }) => isWhole).flatMap((session) => session.calls)) {
    if (!takeOff(call)) throw new Error(`the volume was not asked for ${call}`);
  }
  for (const call of sessions.filter(({ isWhole }) => !isWhole).flatMap((session) => session.calls)) takeOff(call);
  const besides = [...left].filter(([, count]) => count > 0);
  if (besides.length > 0) throw new Error(`the volume was asked for what nobody wanted: ${JSON.stringify(besides)}`);
}

/** Four clients at a time beside a good one; afterwards nothing is left in progress. */
async function batch(listen: NbdListen, seed: number): Promise<void> {
  const target = new FuzzTarget(seededRandom(-seed));
  const { frontend, to } = await serve(listen, target);
  let isOver = false;
  const watched = witness(to, pickOf(seed * 8 + 7), () => isOver);
  const fuzzed = Promise.all(
    [1, 2, 3, 4].map((id) => {
      const pick = pickOf(seed * 8 + id);
      return pick(4) === 0 ? fuzzHandshake(to, pick) : fuzzRequests(to, pick, id);
    }),
  ).finally(() => (isOver = true));
  const sessions = [...(await fuzzed), await watched];
  await frontend.close();
  while (!target.isIdle) await turn();
  if (target.failure !== null) throw target.failure;
  checkCalls(target.takeCalls(), sessions);
}

describe('streams of requests', { timeout: 120_000 + 2 * FUZZ_MS }, () => {
  it('are answered as the protocol says, byte for byte, beside a client that is served all the while', async () => {
    const collect = garbageCollector();
    await batch(unix, FIRST_SEED);
    collect();
    const before = process.memoryUsage().arrayBuffers;
    let most = 0;
    await forSeeds(25, async (_pick, seed) => {
      await inTime('this seed', batch(unix, seed));
      most = Math.max(most, process.memoryUsage().arrayBuffers);
    });
    // Five clients, their streams and replies on both sides included.
    expect(most - before).toBeLessThan(512 * MIB);
    let left = Infinity;
    // What was destroyed is let go of in a later turn, which a busy machine takes its time for.
    for (let turns = 0; turns < 100 && left >= 16 * MIB; turns++) {
      await turn();
      collect();
      left = process.memoryUsage().arrayBuffers - before;
    }
    expect(left).toBeLessThan(16 * MIB);
  });

  it('are in TLS, too', async () => {
    const over: number[] = [];
    await forSeeds(6, async (_pick, seed) => {
      await inTime('this seed', batch(tls, seed));
      over.push(seed);
    });
    expect(over.length).toBeGreaterThanOrEqual(6);
  });
});

describe('handshakes', () => {
  it.each(['none', 'required'] as const)(
    'never throw, tell more than is asked, or end outside of order (TLS: %s)',
    (mode) => {
      for (let seed = FIRST_SEED; seed < FIRST_SEED + 1000; seed++) {
        const pick = pickOf(seed);
        const bytes = someHandshake(pick);
        const handshake = new Handshake({ name: 'vol', sizeBytes: () => FUZZ_VOLUME_BYTES, hasAllocation: true }, mode);
        let given = Buffer.concat([handshake.output()]);
        let held: Buffer = Buffer.alloc(0);
        for (const piece of pieces(bytes, pick)) {
          held = Buffer.concat([held, piece]);
          held = held.subarray(handshake.take(held));
          given = Buffer.concat([given, handshake.output()]);
        }
        const options = bytes.toString('latin1').split('IHAVEOPT').length;
        expect(given.length, `seed ${seed}`).toBeLessThanOrEqual(18 + options * 200);
        if (handshake.state !== 'option') continue;
        expect(held.length, `seed ${seed}`).toBeLessThan(16 + 8192);
      }
    },
  );

  it('give one answer for what is asked for many times', () => {
    const exported = { name: 'vol', sizeBytes: () => FUZZ_VOLUME_BYTES, hasAllocation: true };
    const handshake = new Handshake(exported, 'none');
    handshake.output();
    const names = Buffer.alloc(8000);
    for (let at = 0; at < names.length; at += 2) names.writeUInt16BE(1, at);
    const data = Buffer.concat([Buffer.from('00000003766f6c0fa0', 'hex'), names]);
    handshake.take(Buffer.from('00000003', 'hex'));
    const header = Buffer.from('49484156454f50540000000600000000', 'hex');
    header.writeUInt32BE(data.length, 12);
    handshake.take(Buffer.concat([header, data]));
    const answer = handshake.output();
    expect(answer.toString('latin1').split('vol').length - 1).toBe(1);
    expect(answer.length).toBeLessThan(200);
  });

  it('let nobody in, and tell nothing of the volume, before TLS where it is required', () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + 1000; seed++) {
      const pick = pickOf(seed);
      const handshake = new Handshake(
        { name: 'vol', sizeBytes: () => FUZZ_VOLUME_BYTES, hasAllocation: true },
        'required',
      );
      handshake.take(someHandshake(pick));
      expect(handshake.state, `seed ${seed}`).not.toBe('transmission');
      expect(handshake.output().includes('vol'), `seed ${seed}`).toBe(false);
    }
  });
});

describe('clients that end', { timeout: 60_000 }, () => {
  /** A session with every kind of step in it. */
  const session = Buffer.concat([
    Buffer.from('00000003', 'hex'),
    Buffer.from('49484156454f50540000000800000000', 'hex'),
    Buffer.from('49484156454f50540000000300000000', 'hex'),
    Buffer.from('49484156454f5054000000070000000900000003766f6c0000', 'hex'),
    request(0, 1, 0, 600),
    Buffer.concat([request(1, 2, 4096, 64), Buffer.alloc(64, 1)]),
    request(4, 3, 0, 4096, 1),
    request(6, 4, 0, 4096),
    request(0, 5, 4096, 600),
    request(3, 6, 0, 0),
  ]);

  it.each(['unix', 'tls'] as const)('at every byte of a session leave room for others (%s)', async (kind) => {
    const target = new FuzzTarget(seededRandom(1));
    const { frontend, to } = await serve(kind === 'unix' ? unix : tls, target);
    const bytes =
      kind === 'unix'
        ? session
        : Buffer.concat([Buffer.from('0000000349484156454f50540000000500000000', 'hex'), session]);
    // Each byte of the options and of the first headers; later ones repeat those.
    for (let cut = 0; cut <= bytes.length; cut += cut < 200 ? 1 : 5) {
      const client = new NbdClient(to);
      await client.take(18);
      client.send(bytes.subarray(0, cut));
      if (cut % 3 === 0) await turn();
      if (cut % 2 === 0) client.socket.destroy();
      else client.socket.end();
      await client.ended();
    }
    const places = kind === 'unix' ? NBD_CONNECTIONS_MAX : NBD_TLS_UPGRADES_MAX;
    const others: NbdClient[] = [];
    await expect
      .poll(async () => {
        const client = new NbdClient(to);
        await client.has(18);
        if (client.isEnded) return others.length;
        return others.push(client);
      })
      .toBe(places);
    for (const { socket } of others) socket.destroy();
    await frontend.close();
    while (!target.isIdle) await turn();
  });

  it('or never send what they announce hold no memory', async () => {
    const target = new FuzzTarget(seededRandom(1));
    target.sizeBytes = () => 64 * MIB;
    const { frontend, to } = await serve(unix, target);
    const before = process.memoryUsage.rss();
    const clients: NbdClient[] = [];
    for (let i = 0; i < NBD_CONNECTIONS_MAX; i++) {
      const client = await enteredAs('simple', to);
      clients.push(client);
      client.send(Buffer.concat([request(3, 1, 0, 0), request(1, 2, 0, NBD_PAYLOAD_MAX)]));
      await client.take(16);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan((NBD_CONNECTIONS_MAX * NBD_PAYLOAD_MAX) / 4);
    for (const { socket } of clients) socket.destroy();
    await frontend.close();
  });
});

/** Node's, as it is at hand with a flag. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
