/**
 * `npm run sim -- [--seed N] [--count N] [--minutes M]`: random worlds, from the seed on, as many as are wanted or as many as
 * there is time for. Prints how many faults all of them had; of a single one its history; of one that fails the end of it.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { addFaults, faultTotal, noFaults } from './fault-count.ts';
import { runWorld } from './run-world.ts';

const SEED_LIMIT = 2 ** 31;
const MINUTE_MS = 60_000;
/** Worlds between two signs of life. */
const NOTICE_SEEDS = 100;

const { values } = parseArgs({
  options: { seed: { type: 'string' }, count: { type: 'string' }, minutes: { type: 'string' } },
});
const first = wholeNumber('seed', values.seed ?? String(randomInt(SEED_LIMIT)), 0);
const minutes = values.minutes === undefined ? Infinity : wholeNumber('minutes', values.minutes, 1);
const count = values.count === undefined ? defaultCount() : wholeNumber('count', values.count, 1);

const begun = performance.now();
const faults = noFaults();
let seed = first;
for (; seed < first + count && performance.now() - begun < minutes * MINUTE_MS; seed++) {
  try {
    const { cluster, history } = await runWorld(seed);
    addFaults(faults, cluster.faults);
    if (count === 1) process.stdout.write(`${history.join('\n')}\n`);
  } catch (error) {
    process.stdout.write(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.stdout.write(`repeat with: npm run sim -- --seed ${seed} --count 1\n`);
    process.exit(1);
  }
  if ((seed - first) % NOTICE_SEEDS === NOTICE_SEEDS - 1) process.stderr.write(`seed ${seed}\n`);
}
const done = seed - first;
const perHour = Math.round(done / ((performance.now() - begun) / (60 * MINUTE_MS)));
process.stdout.write(
  `${done} seeds from ${first}, all clean: ${faultTotal(faults)} faults ${JSON.stringify(faults)}, ${perHour} seeds an hour\n`,
);

function defaultCount(): number {
  if (minutes < Infinity) return SEED_LIMIT;
  return values.seed === undefined ? NOTICE_SEEDS : 1;
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  process.stderr.write(`--${name} wants a whole number from ${least}, not ${text}\n`);
  process.exit(2);
}
