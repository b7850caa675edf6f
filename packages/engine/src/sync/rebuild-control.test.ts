import { beforeEach, describe, expect, it } from 'vitest';
import type { ReplicaClock } from '../io/replica-clock.ts';
import { RebuildControl } from './rebuild-control.ts';

const MIB = 1 << 20;

/** Keeps timers in order of their time. */
class Timers implements ReplicaClock {
  readonly set: { ms: number; run: () => void }[] = [];

  now(): Date {
    return new Date(0);
  }

  after(ms: number, run: () => void): () => void {
    const timer = { ms, run };
    this.set.push(timer);
    return () => this.set.splice(this.set.indexOf(timer), 1);
  }

  /** Runs the only one, and what comes of it; returns its time. */
  async fire(): Promise<number> {
    const [timer, ...others] = this.set.splice(0);
    if (!timer || others.length > 0) throw new Error(`${others.length + 1} timers`);
    timer.run();
    await settled();
    return timer.ms;
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let timers: Timers;
let control: RebuildControl;
let done: string[];

beforeEach(() => {
  timers = new Timers();
  control = new RebuildControl(timers);
  done = [];
});

async function take(name: string, bytes: number): Promise<void> {
  await control.take(bytes);
  done.push(name);
}

describe('a limit', () => {
  it('lets bytes pass one after the other, each as late as all before it take', async () => {
    control.setLimit(MIB);
    void take('first', 2 * MIB);
    void take('second', MIB / 2);
    await settled();
    expect(done).toEqual([]);
    expect(await timers.fire()).toBe(2000);
    expect(done).toEqual(['first']);
    expect(await timers.fire()).toBe(500);
    expect(done).toEqual(['first', 'second']);
  });

  it('is as good as none when it is 0, at once for those that wait', async () => {
    await take('before', MIB);
    control.setLimit(MIB);
    void take('first', MIB);
    void take('second', MIB);
    await settled();
    control.setLimit(0);
    await settled();
    expect(done).toEqual(['before', 'first', 'second']);
    expect(timers.set).toEqual([]);
  });

  it('holds for what comes next when it is another one', async () => {
    control.setLimit(MIB);
    void take('first', MIB);
    void take('second', MIB);
    await settled();
    control.setLimit(4 * MIB);
    await settled();
    expect(done).toEqual(['first']);
    expect(await timers.fire()).toBe(250);
    expect(done).toEqual(['first', 'second']);
  });
});

describe('a pause', () => {
  it('holds until it ends, also when it came twice', async () => {
    await control.whenGoing();
    control.pause();
    control.pause();
    void control.whenGoing().then(() => done.push('went on'));
    await settled();
    expect([control.isPaused, done]).toEqual([true, []]);
    control.resume();
    control.resume();
    await settled();
    expect([control.isPaused, done]).toEqual([false, ['went on']]);
  });

  it('that follows another at once holds those of the first, too', async () => {
    control.pause();
    void control.whenGoing().then(() => done.push('went on'));
    control.resume();
    control.pause();
    await settled();
    expect(done).toEqual([]);
    control.resume();
    await settled();
    expect(done).toEqual(['went on']);
  });
});
