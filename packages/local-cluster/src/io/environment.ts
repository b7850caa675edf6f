/** The machine's clock and randomness. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { After, Environment } from '../api/environment.ts';

/** Letters and digits without those that form words or look alike. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

export const machineEnvironment: Environment = {
  now: () => new Date(),
  uuid: () => randomUUID(),
  suffix: (length) => [...randomBytes(length)].map((byte) => ALPHABET[byte % ALPHABET.length]).join(''),
};

/** The machine's timers. */
export const machineAfter: After = (milliseconds, run) => {
  const timer = setTimeout(run, milliseconds);
  return () => clearTimeout(timer);
};
