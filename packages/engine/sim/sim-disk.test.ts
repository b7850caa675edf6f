import { expect, it } from 'vitest';
import { seededRandom } from '../src/membership/random.ts';
import { noFaults } from './fault-count.ts';
import { SimDisk, SimFolder } from './sim-disk.ts';
import { ProcessClock, SimTime } from './sim-time.ts';

const BLOCK = 4096;

it('keeps what was freed in its order, over all files, also when a sync of one of them failed', async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededRandom(seed);
    const time = new SimTime();
    const disk = new SimDisk(random, noFaults());
    const folder = new SimFolder('/r0', disk.folder('/r0'), new ProcessClock(time), random);
    const wait = async <T>(work: Promise<T>): Promise<T> => {
      let isSettled = false;
      const settled = (): void => void (isSettled = true);
      work.then(settled, settled);
      await time.run(time.nowMs() + 60_000, () => isSettled);
      return work;
    };
    const [lower, upper] = [await wait(folder.create('lower', BLOCK)), await wait(folder.create('upper', BLOCK))];
    for (const file of [lower, upper]) {
      file.write(Buffer.alloc(BLOCK, 1), 0, BLOCK, 0);
      await wait(file.sync());
    }
    await wait(folder.sync());
    lower.punch(0, BLOCK);
    disk.failing = 'syncs';
    await wait(lower.sync()).catch(() => undefined);
    disk.failing = 'nothing';
    upper.punch(0, BLOCK);
    await wait(upper.sync());
    disk.cutPower();
    const again = await wait(folder.open('lower'));
    expect([seed, again.extents(0, BLOCK, new Float64Array(2))]).toEqual([seed, 0]);
  }
});
