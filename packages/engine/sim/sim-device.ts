/**
 * A block device and its user. The device outlives engines on its node: what an engine had taken and not answered is asked
 * for again from the next one. The user does random I/O, one operation on a block at a time, and tells the checker; of what is
 * said to be a hole it takes for granted that it reads as zeros.
 */
import type { BlockTarget, CompletionSink, GetAllocation } from '../src/frontend/frontend.ts';
import type { Random } from '../src/membership/random.ts';
import type { DeviceChecker } from './checker.ts';
import type { ProcessClock } from './sim-time.ts';

export const BLOCK_BYTES = 4096;
/** What a disk writes whole. */
export const SECTOR_BYTES = 512;
export const SECTORS = BLOCK_BYTES / SECTOR_BYTES;
const OPERATIONS_MAX = 16;
const RUN_BLOCKS_MAX = 4;

interface Operation {
  readonly kind: 'read' | 'write' | 'discard' | 'flush' | 'allocation';
  readonly block: number;
  readonly count: number;
  readonly writeId: number;
  readonly buffer: Buffer;
  readonly isFua: boolean;
  /** what a flush must keep */
  kept: number[];
  readonly begunMs: number;
}

export class SimDevice implements CompletionSink {
  private readonly checker: DeviceChecker;
  private readonly random: Random;
  private readonly blocks: number;
  private readonly running = new Map<number, Operation>();
  private readonly busy = new Set<number>();
  private target: BlockTarget | null = null;
  private allocation: GetAllocation | null = null;
  private clock: ProcessClock | null = null;
  private nextSlot = 1;
  private nextWrite = 1;
  /** which engine's completions are believed */
  private generation = 0;
  /** a user has it open: engines must take it over */
  isLive = false;
  completed = 0;
  errors = 0;
  longestMs = 0;

  constructor(checker: DeviceChecker, random: Random, blocks: number) {
    this.checker = checker;
    this.random = random;
    this.blocks = blocks;
  }

  /** An engine serves the device now; everything unanswered goes to it. */
  attach(target: BlockTarget, allocation: GetAllocation, clock: ProcessClock): void {
    if (!this.isLive) this.checker.attachedAnew();
    this.isLive = true;
    this.target = target;
    this.allocation = allocation;
    this.clock = clock;
    this.generation++;
    for (const [slot, operation] of this.running) this.submit(slot, operation);
    target.submitBatch();
  }

  /** The engine is gone; the device waits for the next one. */
  detach(): void {
    this.target = null;
    this.allocation = null;
    this.clock = null;
    this.generation++;
  }

  /** The device itself is gone, with what was in flight. */
  lose(): void {
    this.detach();
    this.isLive = false;
    this.running.clear();
    this.busy.clear();
  }

  get inFlight(): number {
    return this.running.size;
  }

  /** False for an engine that another one has replaced. */
  isServedBy(target: BlockTarget): boolean {
    return this.target === target;
  }

  /** One more random operation, if there is room. */
  step(): void {
    if (!this.isLive || this.running.size >= OPERATIONS_MAX) return;
    const chance = this.random.next();
    if (chance < 0.08) this.begin('flush', 0, 0);
    else
      this.begin(
        chance < 0.5 ? 'write' : chance < 0.55 ? 'discard' : chance < 0.95 ? 'read' : 'allocation',
        this.random.below(this.blocks),
        1 + this.random.below(RUN_BLOCKS_MAX),
      );
    this.target?.submitBatch();
  }

  /** Reads every block once, through the device. */
  readAll(): void {
    for (let block = 0; block < this.blocks; block += RUN_BLOCKS_MAX) this.begin('read', block, RUN_BLOCKS_MAX);
    this.target?.submitBatch();
  }

  flush(): void {
    this.begin('flush', 0, 0);
    this.target?.submitBatch();
  }

  /** Writes one run of blocks, for named cases. */
  write(block: number, count: number): void {
    this.begin('write', block, count);
    this.target?.submitBatch();
  }

  /** Discards one run of blocks. */
  discard(block: number, count: number): void {
    this.begin('discard', block, count);
    this.target?.submitBatch();
  }

  complete(key: number, errno: number): void {
    const slot = Math.floor(key / GENERATIONS);
    if (key % GENERATIONS !== this.generation % GENERATIONS) return;
    const operation = this.running.get(slot);
    if (!operation) throw new Error(`operation ${slot} completed twice`);
    this.running.delete(slot);
    for (let block = operation.block; block < operation.block + operation.count; block++) this.busy.delete(block);
    this.completed++;
    if (this.clock) this.longestMs = Math.max(this.longestMs, this.clock.nowMs() - operation.begunMs);
    if (errno !== 0) this.errors++;
    else this.note(operation);
  }

  flushCompletions(): void {
    // Nothing is gathered.
  }

  private note({ kind, block, count, writeId, buffer, kept, isFua }: Operation): void {
    if (kind === 'flush') return this.checker.flushAcked(kept);
    if (kind === 'discard' || kind === 'allocation') return undefined;
    const first = block * SECTORS;
    for (let index = 0; index < count * SECTORS; index++) {
      if (kind === 'write') this.checker.writeAcked(first + index, writeId);
      else
        this.checker.read(
          first + index,
          buffer.readUInt32LE(index * SECTOR_BYTES),
          `at ${this.clock?.nowMs() ?? 0} ms`,
        );
    }
    if (kind === 'write' && isFua) this.noteDurable(first, count * SECTORS);
    return undefined;
  }

  /** What is a hole reads as zeros. */
  private noteHoles(first: number, runs: readonly number[]): void {
    let at = first * BLOCK_BYTES;
    for (const [index, bytes] of runs.entries()) {
      const end = at + bytes;
      const when = `at ${this.clock?.nowMs() ?? 0} ms, said to be a hole`;
      if (index % 2 === 0)
        for (let sector = at / SECTOR_BYTES; sector < end / SECTOR_BYTES; sector++) this.checker.read(sector, 0, when);
      at = end;
    }
  }

  private noteDurable(first: number, count: number): void {
    const floors = this.checker.flushBegins();
    this.checker.flushAcked(floors.map((floor, index) => (index >= first && index < first + count ? floor : 0)));
  }

  private begin(kind: Operation['kind'], first: number, wanted: number): void {
    const count = Math.min(wanted, this.blocks - first);
    for (let block = first; block < first + count; block++) if (this.busy.has(block)) return;
    for (let block = first; block < first + count; block++) this.busy.add(block);
    const writeId = kind === 'write' ? this.nextWrite++ : 0;
    const buffer = Buffer.alloc(Math.max(1, count) * BLOCK_BYTES);
    if (kind === 'write') {
      for (let sector = 0; sector < count * SECTORS; sector++) {
        buffer.writeUInt32LE(writeId, sector * SECTOR_BYTES);
        this.checker.writeBegins(first * SECTORS + sector, writeId);
      }
    }
    if (kind === 'discard') {
      for (let sector = 0; sector < count * SECTORS; sector++) this.checker.discardBegins(first * SECTORS + sector);
    }
    const operation: Operation = {
      kind,
      block: first,
      count,
      writeId,
      buffer,
      isFua: kind === 'write' && this.random.chance(0.1),
      kept: [],
      begunMs: this.clock?.nowMs() ?? 0,
    };
    const slot = this.nextSlot++;
    this.running.set(slot, operation);
    this.submit(slot, operation);
  }

  private submit(slot: number, operation: Operation): void {
    const { target } = this;
    if (!target) return;
    const key = slot * GENERATIONS + (this.generation % GENERATIONS);
    const offset = operation.block * BLOCK_BYTES;
    const length = operation.count * BLOCK_BYTES;
    if (operation.kind === 'flush') {
      // Asked for anew, it covers what was acknowledged before it was asked for the first time, and more.
      if (operation.kept.length === 0) operation.kept = this.checker.flushBegins();
      target.flush(this, key);
    } else if (operation.kind === 'allocation') {
      void this.allocation?.(offset, length).then((runs) => {
        if (key % GENERATIONS === this.generation % GENERATIONS) this.noteHoles(operation.block, runs);
        this.complete(key, 0);
      });
    } else if (operation.kind === 'read') target.read(this, key, offset, length, operation.buffer, 0);
    else if (operation.kind === 'discard') target.unmap(this, key, offset, length);
    else target.write(this, key, offset, length, Buffer.from(operation.buffer), 0, 0, operation.isFua);
  }
}

/** Slots carry which engine they were given to. */
const GENERATIONS = 1024;
