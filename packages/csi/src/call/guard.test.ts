import pino from 'pino';
import { Metadata } from '@grpc/grpc-js';
import { beforeEach, describe, expect, it } from 'vitest';
import { HandClock } from '../../test/hand-clock.ts';
import { ManagerFault, ManagerUnreachable } from '../api/manager-fault.ts';
import { CALL_TIMEOUT_MS } from '../limits.ts';
import { guarded, type GuardOptions } from './guard.ts';
import { waitUntil, type CallScope } from './scope.ts';
import { VolumeLocks } from './volume-locks.ts';

interface Request {
  volume_id: string;
  secrets: Record<string, string>;
}
const request: Request = { volume_id: 'v', secrets: { key: 'very-secret' } };

let clock: HandClock;
let lines: string[];
let options: GuardOptions;
let context: { signal: AbortSignal; metadata: Metadata; peer: string };

beforeEach(() => {
  clock = new HandClock();
  lines = [];
  const log = pino({ level: 'info' }, { write: (line: string) => lines.push(line) });
  options = { clock, log, locks: new VolumeLocks() };
  context = { signal: new AbortController().signal, metadata: new Metadata(), peer: '' };
});

/** What a promise fails with; null when it does not. */
function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

const byVolume = ({ volume_id: id }: Request): string => id;

function handler(work: (scope: CallScope) => Promise<object>, name = 'NodeStageVolume') {
  const guard = guarded<Request, object>(options, name, byVolume, (_request, scope) => work(scope));
  return () => guard(request, context);
}

describe('a call', () => {
  it('is answered and logged without what is secret', async () => {
    await expect(handler(() => Promise.resolve({ capacity: 2n ** 60n }))()).resolves.toEqual({ capacity: 2n ** 60n });
    expect(lines.join('')).toContain('"volume_id":"v"');
    expect(lines.join('')).toContain('1152921504606846976');
    expect(lines.join('')).not.toContain('secret');
  });

  it.each([
    [new ManagerFault(404, 'volume "v" not found'), 5],
    [new ManagerFault(500, 'admission webhook "w" denied the request: spec.dataSource is not supported yet'), 9],
    [new ManagerFault(500, 'admission webhook "w" denied the request: invalid name'), 3],
    [new ManagerFault(500, 'specified disk tag ssd does not exist'), 3],
    [new ManagerFault(500, 'unable to expand volume v: failed to schedule 5 more bytes to disk d: full'), 11],
    [new ManagerFault(500, 'something'), 13],
    [new ManagerUnreachable('nobody there'), 14],
    [new TypeError('a slip'), 13],
  ])('has a status for what goes wrong: %s', async (error, code) => {
    await expect(handler(() => Promise.reject(error))()).rejects.toMatchObject({ code, details: error.message });
  });

  it('on the same volume is told to wait, until the first has ended', async () => {
    let end = (): void => {};
    const first = handler(() => new Promise((resolve) => (end = () => resolve({}))))();
    const second = handler(() => Promise.resolve({ second: true }), 'NodePublishVolume');
    await expect(second()).rejects.toMatchObject({
      code: 10,
      details: 'NodeStageVolume is still working on v: NodePublishVolume must wait, try again',
    });
    end();
    await first;
    await expect(second()).resolves.toEqual({ second: true });
  });

  it('is answered at its deadline; its volume stays locked until its work has ended', async () => {
    let end = (): void => {};
    let seen: AbortSignal | null = null;
    const work = handler(({ signal }) => {
      seen = signal;
      return new Promise((resolve) => (end = () => resolve({})));
    });
    const late = failure(work());
    await clock.pass(CALL_TIMEOUT_MS);
    expect(await late).toMatchObject({ code: 4, details: 'NodeStageVolume was not done after 105 s' });
    expect(seen).toMatchObject({ aborted: true });
    await expect(work()).rejects.toMatchObject({ code: 10 });
    end();
    await clock.pass(0);
    const again = work();
    end();
    await expect(again).resolves.toEqual({});
  });

  it('ends for a caller that is gone', async () => {
    const caller = new AbortController();
    context = { ...context, signal: caller.signal };
    const gone = failure(handler(() => new Promise(() => {}))());
    caller.abort(new Error('context canceled'));
    expect(await gone).toMatchObject({ message: expect.stringContaining('context canceled') });
  });
});

describe('waiting', () => {
  it('looks again until it is done, and says at the end what it waited for', async () => {
    const scope: CallScope = { clock, signal: context.signal, warn: () => {} };
    let looks = 0;
    const slow = failure(
      waitUntil(scope, 1000, 'volume v is not there', () => {
        looks += 1;
        return Promise.resolve({ done: false, waitingFor: `look ${looks}` });
      }),
    );
    for (let step = 0; step < 20; step++) await clock.pass(100);
    expect(await slow).toMatchObject({ code: 4, details: 'volume v is not there: look 4' });
  });
});
