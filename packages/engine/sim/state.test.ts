import { describe, expect, it } from 'vitest';
import { seededRandom } from '../src/membership/random.ts';
import { ReplicaState } from '../src/replica/replica-state.ts';
import { noFaults } from './fault-count.ts';
import { SimDisk, SimFolder } from './sim-disk.ts';
import { ProcessClock, SimTime } from './sim-time.ts';

const RECORD = { epoch: 3, count: 1, members: ['r0'], size: 4096, chain: [], bases: [], decided: false };

/** Lets time go on until it is settled. */
async function wait<T>(time: SimTime, work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = (): void => {
    isSettled = true;
  };
  work.then(settled, settled);
  await time.run(time.nowMs() + 60_000, () => isSettled);
  return work;
}

describe('the record of a replica', () => {
  it('stays with its volume.meta when changes of that fail at any sync, are tried again, and power is lost', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const time = new SimTime();
      const disk = new SimDisk(random, noFaults());
      const folder = new SimFolder('/r0', disk.folder('/r0'), new ProcessClock(time), random);
      const state = await wait(time, ReplicaState.load(folder));
      await wait(time, state.replaceVolumeMeta('0'));
      await wait(time, state.setMembership(RECORD, 'boot-1'));
      disk.failing = 'syncs';
      for (let attempt = 1; attempt <= 4; attempt++) {
        if (random.chance(0.5)) await wait(time, state.prepareVolumeMeta(String(attempt))).catch(() => undefined);
        if (random.chance(0.5)) await wait(time, state.setMembership(RECORD, 'boot-1')).catch(() => undefined);
        await wait(time, state.replaceVolumeMeta(String(attempt))).catch(() => undefined);
      }
      disk.failing = 'nothing';
      disk.cutPower();
      const found = await wait(time, ReplicaState.load(folder));
      expect([seed, found.membership]).toEqual([seed, RECORD]);
    }
  });
});
