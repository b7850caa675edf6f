/** Rounds of SIGKILL on one volume's processes; `npm run kills` runs as many as wanted. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runKills } from '../src/kills/rounds.ts';

const ROUNDS = 16;
const SEED = 1;
const INSTANCE = 251;

describe('operations on a volume whose processes are killed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-kills-'));

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(`${ROUNDS} rounds of seed ${SEED} lose nothing`, async () => {
    const log = (text: string): void => console.log(`    ${text}`);
    const result = await runKills({ seed: SEED, rounds: ROUNDS, folder, instance: INSTANCE, log });
    expect(result.kills).toBeGreaterThanOrEqual(ROUNDS);
    expect(result.operations).toBeGreaterThan(ROUNDS);
  });
});
