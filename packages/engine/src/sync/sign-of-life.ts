/** A sender waits only so long for a sign of life of its receiver; one that is at work gives it one every second. */
import type { ReplicaClock } from '../io/replica-clock.ts';

const SIGN_OF_LIFE_MS = 1000;

/** Runs `work`, and `tell` every second until it has ended. */
export async function withSignsOfLife<T>(clock: ReplicaClock, tell: () => void, work: () => Promise<T>): Promise<T> {
  let cancel = (): void => undefined;
  const arm = (): void => {
    cancel = clock.after(SIGN_OF_LIFE_MS, () => {
      tell();
      arm();
    });
  };
  arm();
  try {
    return await work();
  } finally {
    cancel();
  }
}
