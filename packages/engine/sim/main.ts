/**
 * `node sim/main.ts [FIRST_SEED] [COUNT]`: random worlds; prints the first seed that fails and its history, or how many
 * faults all of them had.
 */
import { runWorld } from './run-world.ts';

const first = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 100);
const begun = performance.now();
let faults = 0;
for (let seed = first; seed < first + count; seed++) {
  try {
    const world = await runWorld(seed);
    faults += world.faults;
    if (seed % 25 === 0) process.stderr.write(`seed ${seed}\n`);
    if (count === 1) process.stdout.write(`${world.history.join('\n')}\n`);
  } catch (error) {
    process.stdout.write(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
    break;
  }
}
if (process.exitCode === undefined) {
  const perHour = Math.round(count / ((performance.now() - begun) / 3_600_000));
  process.stdout.write(`${count} seeds from ${first}: done, ${faults} faults, ${perHour} seeds an hour\n`);
}
