/** What a round does to its volume while processes are killed: begun under the kills, and brought to its end after them. */
import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, VolumeProcesses } from '@longhorn/engine/testing/volume-processes';
import { waitFor } from '@longhorn/engine/testing/wait';
import { ContractViolation, type SnapshotContents } from '../block-history.ts';
import type { Workload } from '../chaos/workload.ts';
import type { Random } from '../random.ts';

export const SERVING_MS = 60_000;
const FINISH_MS = 120_000;
export const DRAIN_MS = 60_000;
const EXPAND_BYTES = 4 << 20;
const SIZE_MAX_BYTES = 160 << 20;
const SNAPSHOTS_MAX = 10;
const DEVICE = 'tgt-blockdev';

export interface Subject {
  readonly volume: VolumeProcesses;
  readonly workload: Workload;
  readonly random: Random;
  readonly folder: string;
  readonly copyHost: string;
  /** by name; those that were removed are not among them */
  readonly snapshots: Map<string, SnapshotContents>;
  /** the volume that a snapshot is cloned to, while it is */
  copy: VolumeProcesses | null;
}

export interface Operation {
  readonly name: string;
  /** `onStart` gets each command's process, for the kills */
  readonly begin: (onStart: (child: ChildProcess) => void) => Promise<unknown>;
  /** The kills are over, the volume serves on all replicas. */
  readonly finish: (succeeded: boolean) => Promise<unknown>;
}

const nothing = async (): Promise<void> => Promise.resolve();

/** Chooses what is possible now. */
export function chooseOperation(subject: Subject, round: number): Operation {
  const { random, snapshots, volume } = subject;
  const makers = [snapshot, rebuild, upgrade, justIo];
  if (volume.sizeBytes < SIZE_MAX_BYTES) makers.push(expand);
  if (snapshots.size > 0) makers.push(revert, clone, purge);
  return snapshots.size >= SNAPSHOTS_MAX ? purge(subject) : random.pick(makers)(subject, round);
}

function justIo(): Operation {
  return { name: 'I/O', begin: nothing, finish: nothing };
}

async function snapshotsOf(volume: VolumeProcesses): Promise<string[]> {
  return (await volume.longhorn(['snapshots', 'ls'])).trim().split('\n').slice(1);
}

function snapshot({ volume, workload, snapshots }: Subject, round: number): Operation {
  const name = `s${round}`;
  const contents = workload.history.beginSnapshot();
  return {
    name: `snapshot ${name}`,
    begin: (onStart) => volume.longhorn(['snapshots', 'create', name], onStart),
    finish: async (succeeded) => {
      const isThere = (await snapshotsOf(volume)).includes(name);
      workload.history.endSnapshot(contents);
      if (succeeded && !isThere) throw new ContractViolation(`snapshot ${name} was answered and is not there`);
      if (isThere) snapshots.set(name, contents);
    },
  };
}

/** Until it is done; a call that comes twice does no harm. */
async function insist(what: string, call: () => Promise<unknown>): Promise<void> {
  await waitFor(what, FINISH_MS, async () => {
    await call();
    return true;
  });
}

function purge({ volume, snapshots, random }: Subject): Operation {
  const names = [...snapshots.keys()].filter(() => random.chance(0.4)).slice(0, 4);
  for (const name of names) snapshots.delete(name);
  return {
    name: `remove ${names.join(' ')} and purge`,
    begin: async (onStart) => {
      if (names.length > 0) await volume.longhorn(['snapshots', 'rm', ...names], onStart);
      await volume.longhorn(['snapshots', 'purge'], onStart);
    },
    finish: async () => {
      await insist('the removal', async () => {
        const left = (await snapshotsOf(volume)).filter((name) => names.includes(name));
        if (left.length > 0) await volume.longhorn(['snapshots', 'rm', ...left]);
      });
      await insist('the purge', () => volume.longhorn(['snapshots', 'purge']));
      await waitFor('the purge ends', FINISH_MS, async () => {
        const status = await volume.longhorn(['snapshots', 'purge-status']);
        if (/"error": "[^"]/.test(status)) throw new Error(status);
        return !status.includes('"isPurging": true');
      });
    },
  };
}

function expand({ volume }: Subject): Operation {
  const sizeBytes = volume.sizeBytes + EXPAND_BYTES;
  volume.sizeBytes = sizeBytes;
  const call = ['expand', '--size', String(sizeBytes)];
  return {
    name: `expansion to ${sizeBytes}`,
    begin: (onStart) => volume.longhorn(call, onStart),
    finish: () =>
      waitFor('the expansion', FINISH_MS, async () => {
        const { size, isExpanding, last_expansion_error: failure } = await volume.volume();
        if (size === sizeBytes && !isExpanding) return true;
        if (!isExpanding) await volume.longhorn(call);
        throw new Error(failure);
      }),
  };
}

function rebuild({ volume, random }: Subject): Operation {
  const name = random.pick(volume.replicaNames);
  const isWiped = random.chance(0.4);
  return {
    name: `rebuild of ${name}${isWiped ? ' from nothing' : ''}`,
    begin: (onStart) => volume.rebuild(name, isWiped, onStart),
    finish: nothing,
  };
}

function revert({ volume, workload, snapshots, random }: Subject): Operation {
  const name = random.pick([...snapshots.keys()]);
  const contents = snapshots.get(name);
  if (contents === undefined) throw new Error(`no snapshot ${name}`);
  const call = async (onStart?: (child: ChildProcess) => void): Promise<void> => {
    if ((await volume.volume()).frontendState === 'up') await volume.longhorn(['frontend', 'shutdown'], onStart);
    await volume.longhorn(['snapshots', 'revert', name], onStart);
  };
  return {
    name: `revert to ${name}`,
    begin: async (onStart) => {
      await workload.pause(DRAIN_MS);
      workload.disconnect();
      volume.frontend = '';
      await call(onStart);
    },
    finish: async () => {
      await insist('the revert', () => call());
      workload.history.revertTo(contents);
      volume.frontend = DEVICE;
      await insist('the device', () => volume.longhorn(['frontend', 'start', DEVICE]));
    },
  };
}

function upgrade({ volume }: Subject): Operation {
  return {
    name: 'upgrade',
    begin: async () => {
      await volume.startEngine(true);
      // The one before holds its I/O for ten seconds, so the end of the next one is noticed at once, and one that has taken over and lost
      // its replicas since has taken over.
      await waitFor('the next engine has taken over', SERVING_MS, async () => {
        return !volume.isEngineRunning || ['serving', 'held'].includes((await volume.volume()).ioState);
      });
      if (!volume.isEngineRunning) throw new CommandError('the next engine has ended');
      await volume.endFormer();
    },
    finish: nothing,
  };
}

function clone(subject: Subject): Operation {
  const { volume, workload, snapshots, random, folder, copyHost } = subject;
  const name = random.pick([...snapshots.keys()]);
  const contents = snapshots.get(name);
  if (contents === undefined) throw new Error(`no snapshot ${name}`);
  const copy = new VolumeProcesses({
    folder: join(folder, 'copy'),
    name: 'copy',
    host: copyHost,
    replicaHosts: [copyHost],
    sizeBytes: volume.currentSizeBytes,
    served: { over: 'socket' },
    backingFile: '',
    isWatched: true,
  });
  copy.frontend = '';
  subject.copy = copy;
  const pull = async (onStart?: (child: ChildProcess) => void): Promise<void> => {
    await copy.untilServing(SERVING_MS);
    const from = ['--from-controller-address', volume.engineAddress, '--from-volume-name', volume.name];
    await copy.longhorn(['snapshots', 'clone', '--snapshot-name', name, ...from], onStart);
  };
  return {
    name: `clone of ${name}`,
    begin: pull,
    finish: async () => {
      try {
        await insist('the clone', () => pull());
        copy.frontend = DEVICE;
        await insist('the device of the clone', () => copy.longhorn(['frontend', 'start', DEVICE]));
        const { endpoint } = await copy.untilServing(SERVING_MS);
        await workload.verifyCopy(endpoint, contents);
      } finally {
        subject.copy = null;
        await copy.end();
        rmSync(join(folder, 'copy'), { recursive: true, force: true });
      }
    },
  };
}
