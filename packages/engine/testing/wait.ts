/** Waiting for a real system: always with a deadline and with a word on what was seen last. */
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 100;

/** Thrown when a deadline passes; the message says what was awaited and what was there instead. */
export class DeadlineError extends Error {}

/**
 * Polls `probe` until it returns a value other than null, undefined or false.
 * @param describe what to print of the last state when the deadline passes
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  describe: () => Promise<string> | string = () => '',
  pollMs = POLL_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown = null;
  for (;;) {
    try {
      const value = await probe();
      if (value !== null && value !== undefined && value !== false) return value;
      lastError = null;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) {
      const seen = await describe();
      const cause = lastError instanceof Error ? ` (last error: ${lastError.message})` : '';
      throw new DeadlineError(`${what}: not within ${timeoutMs} ms${cause}${seen === '' ? '' : `\n${seen}`}`);
    }
    await delay(pollMs);
  }
}
