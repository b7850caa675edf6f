/**
 * `npm run chaos -- [--rounds 200] [--seed N] [--first ROUND] [--canary no-fdatasync]`: rounds of random faults on a cluster of
 * its own.
 *
 * The canary is a build whose fdatasync does nothing: it must fail, which shows that the checks see lost writes.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { ContractViolation } from '../block-history.ts';
import { Cluster } from '../cluster.ts';
import { stopOnSignal } from '../interruption.ts';
import { runChaos } from './rounds.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(process.pid) },
    first: { type: 'string', default: '0' },
    canary: { type: 'string', default: '' },
    keep: { type: 'boolean', default: false },
    instance: { type: 'string', default: String(30 + (process.pid % 60)) },
  },
});

const rounds = Number(values.rounds);
const seed = Number(values.seed);
const first = Number(values.first);
const instance = Number(values.instance);
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds wants a whole number above 0, not ${values.rounds}`);
if (!Number.isInteger(seed)) throw new Error(`--seed wants a whole number, not ${values.seed}`);
if (!Number.isInteger(first) || first < 0) throw new Error(`--first wants a whole number from 0, not ${values.first}`);
if (!Number.isInteger(instance) || instance < 0 || instance > 99)
  throw new Error(`--instance wants a whole number from 0 to 99, not ${values.instance}`);
if (values.canary !== '' && values.canary !== 'no-fdatasync') throw new Error('--canary knows only no-fdatasync');
if (process.getuid?.() !== 0)
  throw new Error('chaos wants root: it cuts the power of nodes whose disks are mounted for it');

const folder = mkdtempSync(join(tmpdir(), 'longhorn-chaos-'));
const canary = pathToFileURL(join(import.meta.dirname, 'no-fdatasync.mjs')).href;
const env = values.canary === '' ? {} : { NODE_OPTIONS: `--import ${canary}` };
const cluster = new Cluster(join(folder, 'cluster'), instance, { env });
stopOnSignal(cluster, folder);
console.log(`seed ${seed}, ${rounds} rounds${values.canary === '' ? '' : `, canary ${values.canary}`}`);
let failed = false;
let violation = '';
try {
  await cluster.start();
  const start = performance.now();
  const result = await runChaos(cluster, { seed, rounds, first, log: (text) => console.log(text) });
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(
    `${result.rounds} rounds, ${result.operations} operations, ${result.powerCuts} power-cuts in ${minutes} min: nothing lost`,
  );
} catch (error) {
  failed = true;
  violation = violationIn(error);
  console.error(error);
  console.error(`repeat with: npm run chaos -- --seed ${seed} --rounds ${rounds}`);
} finally {
  await cluster.stop();
  if (failed || values.keep) console.error(`logs are kept in ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
if (values.canary !== '') {
  const verdict = failed
    ? 'IT FAILED FOR ANOTHER REASON: try again'
    : 'THE CANARY LIVED: the checks do not see lost writes';
  console.log(violation === '' ? verdict : `the canary was caught: ${violation}`);
  process.exitCode = violation === '' ? 1 : 0;
} else process.exitCode = failed ? 1 : 0;
// After a failure other parts of the round still wait for their volumes.
process.exit();

/** The violation of the contract that made a run fail; '' = it failed for another reason. */
function violationIn(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof ContractViolation) return at.message;
  return '';
}
