/** `node sim/main.ts [FIRST_SEED] [COUNT]`: random worlds; prints the first seed that fails and its history. */
import { runWorld } from './run-world.ts';

const first = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 100);
for (let seed = first; seed < first + count; seed++) {
  try {
    const world = await runWorld(seed);
    if (seed % 25 === 0) process.stderr.write(`seed ${seed}\n`);
    if (count === 1) process.stdout.write(`${world.history.join('\n')}\n`);
  } catch (error) {
    process.stdout.write(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
    break;
  }
}
if (process.exitCode === undefined) process.stdout.write(`${count} seeds from ${first}: done\n`);
