/**
 * Seeds for tests with bad input. `FUZZ_SECONDS=600` goes on with further ones for that long, in each of these tests;
 * `FUZZ_SEED=N` begins at another than 1; a failure names its seed.
 */
import { seededRandom } from './seeded-random.ts';

/** Time that a test takes on top of its own seeds. */
export const FUZZ_MS = Number(process.env['FUZZ_SECONDS'] ?? 0) * 1000;
export const FIRST_SEED = Number(process.env['FUZZ_SEED'] ?? 1);

/** A whole number from 0 to below `below`. */
export type Pick = (below: number) => number;

export function pickOf(seed: number): Pick {
  const random = seededRandom(seed);
  return (below) => Math.floor(random() * below);
}

/** Runs seed after seed: `count` of them, or as many as fit the time that was asked for. */
export async function forSeeds(count: number, run: (pick: Pick, seed: number) => Promise<void> | void): Promise<void> {
  const end = performance.now() + FUZZ_MS;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count || performance.now() < end; seed++) {
    try {
      await run(pickOf(seed), seed);
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed}: ${String(error)}`, { cause: error });
    }
  }
}

/** The bytes with up to six of them changed. */
export function spoiled(bytes: Buffer, pick: Pick): Buffer {
  const changed = Buffer.from(bytes);
  if (changed.length === 0) return changed;
  for (let count = pick(6); count >= 0; count--) changed[pick(changed.length)] = pick(256);
  return changed;
}
