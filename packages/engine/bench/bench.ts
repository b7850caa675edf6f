/**
 * The data path beside the yardstick: `nx run engine:bench -- [options]`.
 *
 *     --runs N          each job so often, systems in turn; medians are printed (5)
 *     --seconds S       per job and run (6), after --ramp S (2)
 *     --replicas N      1 or 3 (3)
 *     --size MIB        of the volume, all written before (1024)
 *     --folder F        where the replicas lie; a folder of its own is made there (the system's temporary folder)
 *     --jobs TEXT       only jobs whose name contains it
 *     --required        only jobs of which something is demanded
 *     --only NAME       only this system: ours, quorum, peer
 *     --volume URI      measures a volume that runs already, instead of processes started here; `nx run e2e:bench` does so
 *     --pids N,N        its engine's and replicas' processes, for CPU and memory
 *     --quorum FILE     the yardstick's program (qemu-storage-daemon); without it there are no ratios
 *     --quorum-folders F,F,F   where the yardstick's replicas lie (--folder)
 *     --results FILE    keeps all rounds there: the table is made of these and of earlier ones
 *
 * Ends with 1 when three replicas miss what they must reach, or when the data written does not verify.
 *
 * Wants fio with its nbd engine and, for the yardstick, qemu-storage-daemon (Debian: apt install fio qemu-system-common).
 * PEER_ENGINE names another engine's executable; it is driven over upstream's socket protocol by a generator of our own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { fill, JOBS, measure, verify } from './jobs.ts';
import { pssMiB } from './processes.ts';
import { hasQuorum, startQuorum } from './quorum.ts';
import { addIdlePss, addResult, loadRounds, missedTargets, storeRounds, tableOf } from './report.ts';
import { runningVolume, startOurs, startPeer, type System } from './systems.ts';

/** Until what starting has left behind is collected. */
const IDLE_SECONDS = 3;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '6' },
    ramp: { type: 'string', default: '2' },
    replicas: { type: 'string', default: '3' },
    size: { type: 'string', default: '1024' },
    folder: { type: 'string', default: tmpdir() },
    jobs: { type: 'string', default: '' },
    required: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    volume: { type: 'string', default: '' },
    pids: { type: 'string', default: '' },
    quorum: { type: 'string', default: 'qemu-storage-daemon' },
    'quorum-folders': { type: 'string', default: '' },
    results: { type: 'string', default: '' },
  },
});
const [runs, replicas] = [Number(values.runs), Number(values.replicas)];
const duration = { seconds: Number(values.seconds), rampSeconds: Number(values.ramp) };
const sizeBytes = Number(values.size) << 20;
if (!(runs >= 1 && duration.seconds > 0 && duration.rampSeconds >= 0 && replicas >= 1 && replicas <= 8)) {
  throw new Error('--runs, --seconds, --ramp and --replicas are positive numbers, at most 8 replicas');
}
if (!(sizeBytes >= 64 << 20)) throw new Error('--size is at least 64 (MiB)');
const pids = values.pids === '' ? [] : values.pids.split(',').map(Number);
if (values.volume !== '' && !(pids.length > 0 && pids.every((pid) => Number.isInteger(pid) && pid > 0))) {
  throw new Error('--volume wants --pids of its processes');
}
const jobs = JOBS.filter((job) => job.name.includes(values.jobs) && (!values.required || job.required > 0));

const rounds = loadRounds(values.results);
const folder = mkdtempSync(join(values.folder, 'longhorn-bench-'));
const systems: System[] = [];
try {
  await startAll();
  await benchmark();
  const ours = systems.find(({ name }) => name === 'ours');
  if (ours) {
    await verify(ours, sizeBytes);
    console.log('ours: what was written verifies');
  }
} finally {
  for (const system of systems) await system.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function startAll(): Promise<void> {
  const options = { folder, replicas, sizeBytes };
  const wants = (name: string): boolean => values.only === '' || values.only === name;
  if (wants('ours')) systems.push(values.volume === '' ? await startOurs(options) : runningVolume(values.volume, pids));
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
  if (peer && wants('peer')) systems.push(await startPeer(peer, options));
  await pause(IDLE_SECONDS * 1000);
  for (const system of systems) addIdlePss(rounds, system.name, pssMiB(system.pids));
  for (const system of systems) await fill(system, sizeBytes);
}

async function benchmark(): Promise<void> {
  for (let run = 0; run < runs; run++) {
    for (const job of jobs) {
      for (const system of systems) {
        addResult(rounds, job.name, system.name, await measure(system, job, duration, sizeBytes));
      }
    }
    storeRounds(values.results, rounds);
  }
  console.log(tableOf(rounds, jobs));
  const missed = replicas === 3 ? missedTargets(rounds, jobs) : [];
  for (const target of missed) console.log(`missed: ${target}`);
  if (missed.length > 0) process.exitCode = 1;
}
