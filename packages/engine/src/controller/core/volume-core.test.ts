import { Buffer } from 'node:buffer';
import { beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../membership/random.ts';
import { CORE_LIMITS } from './core-limits.ts';
import { SimClock } from './sim/sim-clock.ts';
import { SimLink, SimReplica } from './sim/sim-link.ts';
import { VolumeCore } from './volume-core.ts';

const SIZE = 1 << 20;
const EIO = 5;

let clock: SimClock;
let core: VolumeCore;
let failures: string[];
let done: string[];

const sink = {
  complete: (slot: number, errno: number): void => {
    done.push(`${slot}:${errno}`);
  },
  flushCompletions: (): void => undefined,
};

beforeEach(() => {
  clock = new SimClock();
  failures = [];
  done = [];
  core = new VolumeCore({
    sizeBytes: SIZE,
    clock,
    limits: CORE_LIMITS,
    onMemberFailed: (id, failure, role) => failures.push(`${id} ${role} ${failure.reason}`),
  });
});

function join(role: 'reading' | 'joining' = 'reading'): { id: number; link: SimLink; replica: SimReplica } {
  const replica = new SimReplica('r', SIZE, true, true);
  const link = new SimLink(replica, clock, seededRandom(1), { isLocal: false, maxDelayMs: 1 });
  return { id: core.addMember(link, role), link, replica };
}

function write(slot: number, offset = 0, length = 4096): void {
  core.write(sink, slot, offset, length, Buffer.alloc(length, slot), 0, 0, false);
  core.submitBatch();
}

const pass = (ms: number): Promise<boolean> => {
  const end = clock.nowMs() + ms;
  return clock.run(end, () => false);
};

describe('a volume core', () => {
  it('holds what comes before the first member', async () => {
    write(1);
    await pass(50);
    expect(done).toEqual([]);
    join();
    await pass(50);
    expect(done).toEqual(['1:0']);
  });

  it('holds writes and reads from the failure of a member until it is released', async () => {
    const [first, second] = [join(), join()];
    first.link.kill();
    write(1);
    core.read(sink, 2, 0, 512, Buffer.alloc(512), 0);
    core.submitBatch();
    await pass(50);
    expect([done, failures]).toEqual([[], [`${first.id} reading connection-lost`]]);
    expect(second.replica.content[0]).toBe(1);
    core.releaseFailed(first.id);
    await pass(50);
    expect(done.toSorted()).toEqual(['1:0', '2:0']);
    expect(core.members()).toEqual([{ id: second.id, address: 'sim://r', role: 'reading' }]);
  });

  it('drops a joining member that fails without holding anything', async () => {
    join();
    const joining = join('joining');
    joining.link.kill();
    write(1);
    await pass(50);
    expect([done, failures]).toEqual([['1:0'], [`${joining.id} joining connection-lost`]]);
  });

  it('ends everything held and new with the errno of failAll, until reset', async () => {
    const { id, link } = join();
    link.kill();
    write(1);
    core.flush(sink, 2);
    core.submitBatch();
    await pass(50);
    expect(done).toEqual([]);
    core.failAll(EIO);
    write(3);
    await pass(50);
    expect(done.toSorted()).toEqual(['1:5', '2:5', '3:5']);
    core.reset();
    join();
    core.releaseFailed(id);
    write(4);
    await pass(50);
    expect(done.at(-1)).toBe('4:0');
  });

  it('drains for a pause, and serves what came meanwhile after it', async () => {
    join();
    write(1);
    let isPaused = false;
    void core.pause().then(() => (isPaused = true));
    write(2);
    await pass(50);
    expect([isPaused, done]).toEqual([true, ['1:0']]);
    core.setSize(2 * SIZE);
    core.resume();
    await pass(50);
    expect(done).toEqual(['1:0', '2:0']);
    expect(core.sizeBytes()).toBe(2 * SIZE);
  });

  it('widens writes that are not made of blocks while a member is joining', async () => {
    const reading = join();
    reading.replica.content.fill(9);
    const joining = join('joining');
    write(1, 512, 1024);
    core.unmap(sink, 2, 0, 65536);
    core.submitBatch();
    await pass(50);
    expect(done.toSorted()).toEqual(['1:0', '2:0']);
    const expected = Buffer.concat([Buffer.alloc(512, 9), Buffer.alloc(1024, 1), Buffer.alloc(2560, 9)]);
    expect(joining.replica.content.subarray(0, 4096).equals(expected)).toBe(true);
  });

  it('lets the only copy keep a bad sector', async () => {
    const { replica } = join();
    replica.failsNext = true;
    core.read(sink, 1, 0, 512, Buffer.alloc(512), 0);
    core.submitBatch();
    await pass(50);
    write(2);
    await pass(50);
    expect([done, failures]).toEqual([['1:5', '2:0'], []]);
  });

  it('answers with ENOSPC when all are full, and fails those that are full when some are not', async () => {
    const [first, second] = [join(), join()];
    first.replica.isFull = true;
    second.replica.isFull = true;
    write(1);
    await pass(50);
    expect([done, failures]).toEqual([['1:28'], []]);
    expect(core.doubtCount()).toBe(1);
    second.replica.isFull = false;
    write(2, 65536);
    await pass(50);
    expect(failures).toEqual([`${first.id} reading no-space`]);
    core.releaseFailed(first.id);
    await pass(50);
    expect(done.at(-1)).toBe('2:0');
  });

  it('does not tell the failure of a member that is removed in the same call as the one that it waited for', async () => {
    const [, full, hung] = [join(), join(), join()];
    full.replica.isFull = true;
    hung.link.hang();
    write(1);
    await pass(20);
    core.removeMember(hung.id);
    core.removeMember(full.id);
    await pass(50);
    expect([done, failures]).toEqual([['1:0'], []]);
    expect(core.members()).toHaveLength(1);
  });

  it('has the piece of a discard in doubt for which no disk had space', async () => {
    const [first, second] = [join(), join()];
    first.replica.isFull = true;
    second.replica.isFull = true;
    core.unmap(sink, 1, 0, 2 * 65536);
    core.submitBatch();
    await pass(50);
    expect([done, failures]).toEqual([['1:28'], []]);
    expect(core.doubtCount()).toBe(2);
  });

  it('shares a flush round among all that wait for it', async () => {
    const { link } = join();
    const types: number[] = [];
    link.onFrame = (type) => types.push(type);
    for (let slot = 1; slot <= 5; slot++) core.flush(sink, slot);
    core.submitBatch();
    await pass(50);
    expect(done).toHaveLength(5);
    expect(types.filter((type) => type === 16)).toHaveLength(2);
    expect(types.filter((type) => type === 17)).toHaveLength(2);
  });

  it('ends everything when it is closed', async () => {
    const { link } = join();
    link.hang();
    write(1);
    await pass(20);
    core.close();
    await pass(20);
    expect(done).toEqual(['1:5']);
    expect(link.isClosed).toBe(true);
  });

  it('reports the last full second', async () => {
    join();
    for (let slot = 1; slot <= 10; slot++) write(slot, slot * 4096);
    await pass(1600);
    expect(core.metrics()).toMatchObject({ readIops: 0, writeIops: expect.closeTo(10, -1) as number });
    expect(core.metrics().writeLatency).toBeGreaterThan(0);
    await pass(1600);
    expect(core.metrics().writeIops).toBe(0);
  });
});
