/**
 * The data path beside the yardstick, and what is more than one fio job: `nx run engine:bench -- [options]`.
 *
 *     --runs N          each job so often, systems in turn; medians are printed (5)
 *     --seconds S       per job and run (6), after --ramp S (2)
 *     --replicas N      1 to 8 (3)
 *     --size MIB        of the volume (4096); --fill MIB of it (2048) are written first, and jobs run over these
 *     --folder F        where the replicas lie; a folder of its own is made there (the system's temporary folder)
 *     --jobs TEXT       only jobs whose name contains it
 *     --no-jobs         only cases
 *     --cases TEXT      only cases whose name contains it (cases/index.ts)
 *     --no-cases        only jobs
 *     --case-runs N     each case so often (3)
 *     --scale X         sizes and counts of cases by this factor; less than 1 for a quick try, without verdicts (1)
 *     --only NAME       only this system: ours, quorum, peer
 *     --volume URI      measures a volume that runs already, instead of processes started here, and no cases; for `nx run e2e:bench`
 *     --pids N,N        its engine's and replicas' processes, for CPU and memory
 *     --quorum FILE     the yardstick's program (qemu-storage-daemon); without it there are no ratios
 *     --quorum-folders F,F,F   where the yardstick's replicas lie (--folder)
 *     --results FILE    keeps all runs there: the tables are made of these and of earlier ones
 *
 * Ends with 1 when three replicas miss what they must reach, when a case fails, or when the data written does not verify.
 *
 * Wants fio with its nbd engine and, for the yardstick, qemu-storage-daemon (Debian: apt install fio qemu-system-common).
 * PEER_ENGINE names another engine's executable; it is driven over upstream's socket protocol by a generator of our own.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { BenchCase } from './cases/bench-case.ts';
import { CASES } from './cases/index.ts';
import { fill, JOBS, measure, verify } from './jobs.ts';
import { killDescendants, pssBytes } from './processes.ts';
import { removeDevices } from './remove-devices.ts';
import { hasQuorum, startQuorum } from './quorum.ts';
import {
  addFigures,
  addIdlePss,
  addResult,
  loadRounds,
  missedByFigures,
  missedByJobs,
  storeRounds,
  tableOfFigures,
  tableOfJobs,
} from './report.ts';
import { PLAIN_VOLUME, runningVolume, startOurs, startPeer, type System } from './systems.ts';

/** Until what starting has left behind is collected. */
const IDLE_SECONDS = 3;
const MIB = 1 << 20;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '6' },
    ramp: { type: 'string', default: '2' },
    replicas: { type: 'string', default: '3' },
    size: { type: 'string', default: '4096' },
    fill: { type: 'string', default: '2048' },
    folder: { type: 'string', default: tmpdir() },
    jobs: { type: 'string', default: '' },
    cases: { type: 'string', default: '' },
    'no-jobs': { type: 'boolean', default: false },
    'no-cases': { type: 'boolean', default: false },
    'case-runs': { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    volume: { type: 'string', default: '' },
    pids: { type: 'string', default: '' },
    quorum: { type: 'string', default: 'qemu-storage-daemon' },
    'quorum-folders': { type: 'string', default: '' },
    results: { type: 'string', default: '' },
  },
});
const [runs, caseRuns, replicas] = [Number(values.runs), Number(values['case-runs']), Number(values.replicas)];
const [seconds, rampSeconds, scale] = [Number(values.seconds), Number(values.ramp), Number(values.scale)];
const sizeBytes = Number(values.size) * MIB;
const fillBytes = Math.min(Number(values.fill) * MIB, sizeBytes);
if (!(runs >= 1 && caseRuns >= 1 && seconds > 0 && rampSeconds >= 0 && scale > 0 && replicas >= 1 && replicas <= 8)) {
  throw new Error(
    '--runs, --case-runs, --seconds, --ramp, --scale and --replicas are positive numbers, at most 8 replicas',
  );
}
if (!(sizeBytes >= 64 * MIB && fillBytes >= 64 * MIB)) throw new Error('--size and --fill are at least 64 (MiB)');
const pids = values.pids === '' ? [] : values.pids.split(',').map(Number);
if (values.volume !== '' && !(pids.length > 0 && pids.every((pid) => Number.isInteger(pid) && pid > 0))) {
  throw new Error('--volume wants --pids of its processes');
}
const jobs = values['no-jobs'] ? [] : JOBS.filter(({ name }) => name.includes(values.jobs));
const isWithCases = !values['no-cases'] && values.volume === '';
const cases = isWithCases ? CASES.filter(({ name }) => name.includes(values.cases)) : [];

const rounds = loadRounds(values.results);
const folder = mkdtempSync(join(values.folder, 'longhorn-bench-'));
// Programs that are not to run as root look for their files in it.
chmodSync(folder, 0o711);
removeAllOnSignal();
try {
  if (jobs.length > 0) await benchmark();
  for (const one of cases) await runCase(one);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
report();

/** Who ends a benchmark early is not left with its processes, block devices and folders. */
function removeAllOnSignal(): void {
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      // All in this turn of the event loop: what waits for the killed ones must not begin anything else meanwhile.
      killDescendants();
      removeDevices(folder);
      rmSync(folder, { recursive: true, force: true });
      process.exit(1);
    });
  }
}

async function benchmark(): Promise<void> {
  const systems: System[] = [];
  try {
    await startAll(systems);
    for (let run = 1; run <= runs; run++) {
      await runJobs(systems);
      storeRounds(values.results, rounds);
      console.log(`jobs, run ${run} of ${runs}: done`);
    }
    const ours = systems.find(({ name }) => name === 'ours');
    if (ours) {
      await verify(ours, fillBytes);
      console.log('ours: what was written verifies');
    }
  } finally {
    for (const system of systems) await system.stop();
  }
}

async function startAll(systems: System[]): Promise<void> {
  const wants = (name: string): boolean => values.only === '' || values.only === name;
  if (wants('ours')) {
    const made = { ...PLAIN_VOLUME, name: 'ours', folder, replicas, sizeBytes };
    systems.push(values.volume === '' ? await startOurs(made) : runningVolume(values.volume, pids));
  }
  if (wants('quorum')) {
    const replicaFolders =
      values['quorum-folders'] === ''
        ? Array.from({ length: replicas }, (_, i) => join(folder, `disk${i}`))
        : values['quorum-folders'].split(',');
    const program = values.quorum;
    if (hasQuorum(program)) systems.push(await startQuorum({ program, replicaFolders, folder, sizeBytes }));
    else console.log(`${program} is not there: no yardstick, no ratios`);
  }
  const peer = process.env['PEER_ENGINE'];
  if (peer && wants('peer')) systems.push(await startPeer(peer, { folder, replicas, sizeBytes }));
  await pause(IDLE_SECONDS * 1000);
  for (const system of systems) addIdlePss(rounds, system.name, pssBytes(system.pids));
  for (const system of systems) await fill(system, fillBytes);
}

/** Each job once, on one system after the other. */
async function runJobs(systems: readonly System[]): Promise<void> {
  for (const job of jobs) {
    for (const system of systems) {
      addResult(rounds, job.name, system.name, await measure(system, job, { seconds, rampSeconds }, fillBytes));
    }
  }
}

/** What a case that fails has not measured is missing; the other cases go on. */
async function runCase(one: BenchCase): Promise<void> {
  for (let run = 1; run <= caseRuns; run++) {
    const place = join(folder, 'case');
    mkdirSync(place, { mode: 0o711 });
    try {
      const log = (line: string): void => console.log(`  ${line}`);
      console.log(`case ${one.name}, run ${run} of ${caseRuns}`);
      const figures = await one.run({ folder: place, seconds, scale, log });
      addFigures(
        rounds,
        figures.map((figure) => ({ ...figure, name: `${one.name}: ${figure.name}` })),
      );
      storeRounds(values.results, rounds);
    } catch (error) {
      console.error(`case ${one.name} failed:`, error);
      process.exitCode = 1;
      return;
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }
}

function report(): void {
  if (jobs.length > 0) console.log(`\n${tableOfJobs(rounds, jobs)}`);
  if (cases.length > 0) console.log(`\n${tableOfFigures(rounds)}`);
  if (cases.length > 0 && scale < 1) console.log(`cases ran at scale ${scale}: their verdicts do not count`);
  const missed = [
    ...(replicas === 3 ? missedByJobs(rounds, jobs) : []),
    ...(cases.length > 0 && scale >= 1 ? missedByFigures(rounds) : []),
  ];
  for (const target of missed) console.log(`missed: ${target}`);
  if (missed.length > 0) process.exitCode = 1;
}
