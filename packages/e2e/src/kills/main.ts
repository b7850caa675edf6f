/**
 * `npm run kills -- [--rounds 1000] [--seed N] [--instance I]`: rounds of operations on a volume's real processes under SIGKILL.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runKills } from './rounds.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(process.pid) },
    instance: { type: 'string', default: String(process.pid % 200) },
  },
});
const rounds = wholeNumber('rounds', values.rounds, 1, Number.MAX_SAFE_INTEGER);
const seed = wholeNumber('seed', values.seed, 0, 2 ** 32 - 1);
const instance = wholeNumber('instance', values.instance, 0, 255);

const folder = mkdtempSync(join(tmpdir(), 'longhorn-kills-'));
console.log(`seed ${seed}, ${rounds} rounds, logs in ${folder} while it runs`);
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const)
  process.once(signal, () => process.exit(128 + number));
const begun = performance.now();
try {
  const result = await runKills({ seed, rounds, folder, instance, log: (text) => console.log(text) });
  const minutes = ((performance.now() - begun) / 60_000).toFixed(1);
  console.log(
    `${result.rounds} rounds, ${result.kills} kills, ${result.operations} I/O operations in ${minutes} min: nothing lost`,
  );
  rmSync(folder, { recursive: true, force: true });
} catch (error) {
  console.error(error);
  console.error(`repeat with: npm run kills -- --seed ${seed} --rounds ${rounds}`);
  process.exitCode = 1;
}
// What a failed round waits for yet.
process.exit();

function wholeNumber(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  console.error(`--${name} wants a whole number from ${least} to ${most}, not ${text}`);
  process.exit(2);
}
