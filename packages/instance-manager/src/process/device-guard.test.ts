/** A device that somebody still uses when its engine is gone. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CLEANUP_ATTEMPTS_MAX, CLEANUP_LATER_MS, CLEANUP_RETRY_MS } from '../limits.ts';
import { DeviceGuard } from './device-guard.ts';

const DEVICE = { binary: '/image/longhorn', volume: 'vol', holdMs: 300_000 };
const ALL_ATTEMPTS_MS = CLEANUP_ATTEMPTS_MAX * CLEANUP_RETRY_MS;

let isUsed = true;
let hasEngine = false;
let attempts = 0;
let guard: DeviceGuard;

beforeEach(() => {
  vi.useFakeTimers();
  [isUsed, hasEngine, attempts] = [true, false, 0];
  guard = new DeviceGuard({
    cleanUp: () => {
      attempts += 1;
      return isUsed ? Promise.reject(new Error('loop device /dev/loop0 is in use')) : Promise.resolve();
    },
    hasLiveEngine: () => hasEngine,
    logger: { info: () => undefined, error: () => undefined },
  });
});
afterEach(() => {
  guard.close();
  vi.useRealTimers();
});

async function putOff(): Promise<void> {
  const removed = guard.remove(DEVICE);
  await vi.advanceTimersByTimeAsync(ALL_ATTEMPTS_MS);
  await removed;
  expect([attempts, guard.isLeft('vol')]).toEqual([CLEANUP_ATTEMPTS_MAX, true]);
}

it('is removed once nobody uses it, and the next engine has not had to wait for that', async () => {
  await putOff();
  await guard.idle('vol');
  isUsed = false;
  await vi.advanceTimersByTimeAsync(CLEANUP_LATER_MS);
  expect([attempts, guard.isLeft('vol')]).toEqual([CLEANUP_ATTEMPTS_MAX + 1, false]);
});

it('is tried again as long as it is used', async () => {
  await putOff();
  await vi.advanceTimersByTimeAsync(3 * (CLEANUP_LATER_MS + ALL_ATTEMPTS_MS));
  expect(attempts).toBe(4 * CLEANUP_ATTEMPTS_MAX);
});

it('is left alone when an engine of the volume has taken it', async () => {
  await putOff();
  guard.engineRuns(DEVICE);
  await vi.advanceTimersByTimeAsync(10 * CLEANUP_LATER_MS);
  expect(attempts).toBe(CLEANUP_ATTEMPTS_MAX);
});

it('waits for the end of an engine that is on its way, and is removed when that ends without taking it', async () => {
  await putOff();
  [hasEngine, isUsed] = [true, false];
  await vi.advanceTimersByTimeAsync(10 * CLEANUP_LATER_MS);
  expect(attempts).toBe(CLEANUP_ATTEMPTS_MAX);
  hasEngine = false;
  guard.engineEnded(DEVICE, 'untouched');
  await vi.advanceTimersByTimeAsync(0);
  expect([attempts, guard.isLeft('vol')]).toEqual([CLEANUP_ATTEMPTS_MAX + 1, false]);
});
