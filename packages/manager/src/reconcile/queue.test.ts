import { strict as assert } from 'node:assert';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { ApiError } from '../datastore/kube-transport.ts';
import { limits } from '../limits.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { done, type Outcome } from './outcome.ts';
import { ReconcileQueue } from './queue.ts';

async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function queueOf(clock: VirtualClock, reconcile: (key: string) => Promise<Outcome>, workers = 2): ReconcileQueue {
  const queue = new ReconcileQueue({ name: 'test', clock, log: pino({ level: 'silent' }), reconcile, workers });
  queue.start();
  return queue;
}

describe('the queue of a controller', () => {
  it('works on a key once at a time and once more if it was added meanwhile', async () => {
    const clock = new VirtualClock();
    const finish: (() => void)[] = [];
    let passes = 0;
    const queue = queueOf(clock, () => {
      passes += 1;
      return new Promise((resolve) => finish.push(() => resolve(done)));
    });
    queue.add('a');
    queue.add('a');
    queue.add('a');
    await turns();
    expect(passes).toBe(1);
    finish.shift()?.();
    await turns();
    expect(passes).toBe(2);
    finish.shift()?.();
    await turns();
    expect(passes).toBe(2);
    await queue.stop();
  });

  it('works on no more keys at a time than it has workers', async () => {
    let running = 0;
    let most = 0;
    const finish: (() => void)[] = [];
    const queue = queueOf(new VirtualClock(), () => {
      running += 1;
      most = Math.max(most, running);
      return new Promise((resolve) =>
        finish.push(() => {
          running -= 1;
          resolve(done);
        }),
      );
    });
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    await turns();
    while (finish.length > 0) {
      finish.shift()?.();
      await turns();
    }
    expect(most).toBe(2);
  });

  const outcomes: [string, () => Promise<Outcome>, number | null][] = [
    ['done', () => Promise.resolve(done), null],
    ['waiting', () => Promise.resolve({ kind: 'waiting', untilMs: Date.UTC(2026, 0, 1) + 5000 }), 5000],
    ['retry', () => Promise.resolve({ kind: 'retry', reason: 'x' }), limits.retryDelayMinMs],
    ['stalled', () => Promise.resolve({ kind: 'stalled', reason: 'x' }), limits.stalledRecheckMs],
    ['a conflict', () => Promise.reject(new ApiError(409, 'Conflict', 'x')), limits.conflictDelayMs],
    ['an error', () => Promise.reject(new Error('x')), limits.retryDelayMinMs],
    ['a broken invariant', () => Promise.reject(new assert.AssertionError({ message: 'x' })), limits.stalledRecheckMs],
  ];
  it.each(outcomes)('brings a key back after: %s', async (_name, reconcile, delayMs) => {
    const clock = new VirtualClock();
    let passes = 0;
    const queue = queueOf(clock, () => {
      passes += 1;
      return reconcile();
    });
    queue.add('a');
    await turns();
    const nextMs = clock.nextMs();
    expect(nextMs === null ? null : nextMs - clock.now()).toBe(delayMs);
    clock.advance(delayMs ?? 60_000);
    await turns();
    expect(passes).toBe(delayMs === null ? 1 : 2);
    await queue.stop();
  });

  it('waits longer with each failure', async () => {
    const clock = new VirtualClock();
    const times: number[] = [];
    const queue = queueOf(clock, () => {
      times.push(clock.now());
      return Promise.resolve({ kind: 'retry', reason: 'x' });
    });
    queue.add('a');
    for (let step = 0; step < 100; step += 1) {
      await turns();
      clock.advance(50);
    }
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    expect(gaps.slice(0, 4)).toEqual([50, 100, 200, 400]);
    await queue.stop();
  });
});
