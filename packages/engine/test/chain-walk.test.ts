/**
 * Random walks over everything that changes a volume or its chain, against a naive model, with crashes of the process and
 * losses of power between and inside the operations. A failing seed is printed with its operation.
 */
import { describe, expect, it } from 'vitest';
import { purge } from '../src/replica/purge.ts';
import { exportSnapshot } from '../src/sync/volume-export.ts';
import { CrashError, MemoryFolder } from './memory-folder.ts';
import { readAll, startTestReplica, volumeOf, type TestReplica } from './replica-fixture.ts';
import { seededRandom } from './seeded-random.ts';
import { SECTOR, VolumeModel, sectorsOf } from './volume-model.ts';

const BLOCKS = 48;
const OPERATIONS = 60;
const CREATED = '2026-01-01T00:00:00Z';

type Operation =
  'write' | 'unmap' | 'flush' | 'prepare' | 'snapshot' | 'mark' | 'purge' | 'revert' | 'expand' | 'reopen' | 'reload';
const WEIGHTS: [Operation, number][] = [
  ['write', 40],
  ['unmap', 15],
  ['flush', 6],
  ['prepare', 10],
  ['snapshot', 10],
  ['mark', 8],
  ['purge', 6],
  ['revert', 4],
  ['expand', 2],
  ['reopen', 4],
  ['reload', 2],
];

interface Faults {
  readonly crashes: boolean;
  readonly powerLosses: boolean;
}

class Walk {
  private readonly random: () => number;
  private readonly faults: Faults;
  private folder = new MemoryFolder();
  private replica: TestReplica | null = null;
  private model = new VolumeModel(BLOCKS * 4096);
  private nextValue = 1;
  private nextSnapshot = 1;
  /** of the next snapshot, when it was prepared */
  private isUserCreated: boolean | null = null;
  private epoch = 1;
  readonly trace: string[] = [];

  constructor(seed: number, faults: Faults) {
    this.random = seededRandom(seed);
    this.faults = faults;
  }

  private pick(below: number): number {
    return Math.floor(this.random() * below);
  }

  private get current(): TestReplica {
    if (this.replica === null) throw new Error('not open');
    return this.replica;
  }

  private async open(): Promise<void> {
    this.folder.isCold = () => this.random() < 0.3;
    this.replica = await startTestReplica(this.folder);
    await this.replica.server.create(BLOCKS * 4096);
    await this.replica.server.openEpoch(this.epoch, 'e');
    const { state } = this.replica.server;
    // Our own changes of volume.meta, finished or not, never cost the membership record.
    const kept = state.membership?.epoch ?? 0;
    if (kept !== this.epoch - 1 && kept !== this.epoch) throw new Error('the membership record is gone');
    const record = { epoch: this.epoch, count: 1, members: ['r'], size: 0, chain: [], bases: [], decided: false };
    await this.replica.server.storeMembership(record);
    this.epoch++;
  }

  async run(): Promise<void> {
    await this.open();
    for (let step = 0; step < OPERATIONS; step++) {
      const { disk } = this.folder;
      const isFaulty = (this.faults.crashes || this.faults.powerLosses) && this.random() < 0.15;
      if (isFaulty) disk.crashAt = disk.steps + 1 + this.pick(25);
      const operation = this.choose();
      const before = this.model.clone();
      const headBefore = this.current.io.open?.meta.head ?? '';
      try {
        await this.execute(operation);
        if (!isFaulty) continue;
        disk.isDead = true;
      } catch (error) {
        if (!(error instanceof CrashError) && !disk.isDead) throw error;
      }
      await this.recover(before, headBefore);
    }
    await this.check();
  }

  private choose(): Operation {
    let at = this.pick(WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [operation, weight] of WEIGHTS) {
      at -= weight;
      if (at < 0) return operation;
    }
    return 'write';
  }

  private async recover(before: VolumeModel, headBefore: string): Promise<void> {
    const isPowerLost = this.faults.powerLosses && this.random() < 0.6;
    this.trace.push(isPowerLost ? 'power loss' : 'crash');
    this.folder = isPowerLost ? this.folder.afterPowerLoss(this.random) : this.folder.afterCrash();
    await this.open();
    this.trace.push(...this.current.notes);
    const content = await readAll(this.current);
    // An operation that was cut short has happened or not: a change of the chain shows in the head's name.
    const isDone = this.current.io.open?.meta.head !== headBefore;
    const candidates = isDone ? [this.model, before] : [before, this.model];
    const results = candidates.map((model) => {
      const trial = model.clone();
      return { trial, wrong: trial.wrongSectors(content, isPowerLost) };
    });
    const fitting = results.find(({ wrong }) => wrong.length === 0);
    if (fitting === undefined) throw new Error(results.map(({ wrong }) => wrong.slice(0, 3).join('; ')).join(' | '));
    this.model = fitting.trial;
    for (const name of this.model.snapshots.keys()) {
      const disk = this.current.io.open?.disks.get(`volume-snap-${name}.img`);
      if (disk === undefined || disk.isRemoved) this.model.snapshots.delete(name);
    }
  }

  private async execute(operation: Operation): Promise<void> {
    const { server, io } = this.current;
    const sectors = this.model.now.length;
    const first = this.pick(sectors);
    const count = 1 + this.pick(Math.min(sectors - first, 40));
    this.trace.push(`${operation} ${first}+${count}`);
    switch (operation) {
      case 'write': {
        const value = this.nextValue++;
        this.model.write(first, count, value);
        volumeOf(this.current).write(sectorsOf(value, count), 0, count * SECTOR, first * SECTOR);
        return;
      }
      case 'unmap': {
        this.model.unmap(first, count);
        const { open } = io;
        if (open !== null) open.volume.unmap(first * SECTOR, count * SECTOR, open.isRemovable);
        return;
      }
      case 'flush':
        await io.flush();
        this.model.flush();
        return;
      case 'prepare':
        // Another than is taken now and then.
        this.isUserCreated = this.random() < 0.8;
        await server.prepareSnapshot(
          this.random() < 0.2 ? 'other' : `s${this.nextSnapshot}`,
          this.isUserCreated,
          CREATED,
          {},
        );
        return;
      case 'snapshot': {
        const name = `s${this.nextSnapshot++}`;
        const next = this.model.clone();
        next.snapshot(name);
        this.model = next;
        const isUserCreated = this.isUserCreated ?? this.random() < 0.8;
        this.isUserCreated = null;
        await server.snapshot(name, isUserCreated, CREATED, {});
        return;
      }
      case 'mark':
        return this.mark();
      case 'purge':
        await this.purgeNow();
        return;
      case 'revert':
        return this.revert();
      case 'expand': {
        const sizeBytes = sectors * SECTOR + 4096 * (1 + this.pick(4));
        if (sizeBytes > BLOCKS * 2 * 4096) return;
        const next = this.model.clone();
        next.expand(sizeBytes);
        this.model = next;
        await server.expand(sizeBytes);
        return;
      }
      case 'reload':
        await server.reload();
        return;
      case 'reopen':
        await server.close();
        await this.checkTidy();
        this.model.flush();
        await this.open();
        await this.check();
    }
  }

  private async mark(): Promise<void> {
    const names = [...this.model.snapshots.keys()];
    const name = names[this.pick(names.length)];
    if (name === undefined) return;
    const next = this.model.clone();
    next.snapshots.delete(name);
    this.model = next;
    this.trace.push(`mark ${name}`);
    await this.current.server.markRemoved(name);
  }

  /** Writes and unmaps go on between the steps of a purge. */
  private async purgeNow(): Promise<void> {
    for (const [name] of this.model.snapshots) {
      const disk = this.current.io.open?.disks.get(`volume-snap-${name}.img`);
      if (disk?.isUserCreated === false) this.model.snapshots.delete(name);
    }
    let isRunning = true;
    const busy = async (): Promise<void> => {
      while (isRunning && !this.folder.disk.isDead) {
        if (!this.current.io.gate.isClosed) await this.execute(this.random() < 0.6 ? 'write' : 'unmap');
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const others = busy();
    try {
      await purge(
        this.current.server,
        () => undefined,
        () => Promise.resolve(),
      );
    } finally {
      isRunning = false;
      await others;
    }
  }

  private async revert(): Promise<void> {
    const names = [...this.model.snapshots.keys()];
    const name = names[this.pick(names.length)];
    if (name === undefined) return;
    const next = this.model.clone();
    next.revert(name);
    this.model = next;
    this.trace.push(`revert ${name}`);
    await this.current.server.revert(`volume-snap-${name}.img`, CREATED);
  }

  /** A closed replica has nothing in its folder but its chain. */
  private async checkTidy(): Promise<void> {
    const names = await this.folder.list();
    const left = names.filter((name) => name.endsWith('.tmp'));
    const heads = names.filter((name) => name.startsWith('volume-head-') && name.endsWith('.img'));
    if (left.length > 0 || heads.length !== 1) throw new Error(`left in the folder: ${[...left, ...heads].join(', ')}`);
  }

  private async check(): Promise<void> {
    const wrong = this.model.clone().wrongSectors(await readAll(this.current), false);
    if (wrong.length > 0) throw new Error(`head: ${wrong.slice(0, 4).join('; ')}`);
    for (const [name, content] of this.model.snapshots) {
      const exported = await exportSnapshot(this.folder, name, null);
      const bytes = Buffer.alloc(exported.source.sizeBytes);
      await exported.source.read(bytes, 0, bytes.length, 0);
      const expected = Buffer.concat([...content].map((value) => sectorsOf(value, 1)));
      if (!bytes.equals(expected)) throw new Error(`snapshot ${name} has changed`);
    }
  }
}

/** Returns the number of walks that went well. */
async function walks(count: number, faults: Faults): Promise<number> {
  let done = 0;
  const base = Number(process.env['SEED'] ?? 1);
  for (let seed = base; seed < base + count; seed++) {
    const walk = new Walk(seed, faults);
    await walk.run().catch((error: unknown) => {
      throw new Error(`seed ${seed}: ${String(error)}\n${walk.trace.slice(-12).join('\n')}`, { cause: error });
    });
    done++;
  }
  return done;
}

describe('a replica walked at random', () => {
  const rounds = Number(process.env['ROUNDS'] ?? 60);

  it('holds what was written, without faults', async () => {
    expect(await walks(rounds, { crashes: false, powerLosses: false })).toBe(rounds);
  }, 60_000);

  it('holds what was written when its process crashes anywhere', async () => {
    expect(await walks(rounds, { crashes: true, powerLosses: false })).toBe(rounds);
  }, 60_000);

  it('holds what was flushed when power is lost anywhere', async () => {
    expect(await walks(rounds, { crashes: true, powerLosses: true })).toBe(rounds);
  }, 60_000);

  it('expects enough of the model to notice a lost write', () => {
    const model = new VolumeModel(4096);
    model.write(0, 8, 7);
    model.flush();
    expect(model.wrongSectors(Buffer.alloc(4096), true)).toHaveLength(8);
  });
});
