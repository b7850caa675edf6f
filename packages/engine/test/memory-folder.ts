/**
 * A folder in memory that can stop after any step, forget what was not synced, or run full.
 *
 * Fault model. A step is one call that changes something that a crash could cut. `crashAt` stops before that step, and
 * everything after it fails too. After a crash of the process all that was done is there. After a loss of power: of the
 * changes of names since the folder's last sync a prefix has survived (a journal keeps their order); of
 * the blocks of a file changed since its last sync each has survived or not, or, written where there was nothing, has a
 * place without content (an unwritten extent). Synced things never vanish. Not modelled: torn blocks, bit rot, a sync that lies.
 */
import { DiskError, NOT_CACHED, type DataFile, type FileStat, type Folder, type FolderLock } from '../src/io/disk.ts';

const BLOCK = 4096;

export class CrashError extends Error {
  override readonly name = 'CrashError';
}

class Inode {
  readonly id: number;
  sizeBytes = 0;
  changed = 0n;
  blocks = new Map<number, Buffer>();
  durable = new Map<number, Buffer>();
  /** blocks with a place but no content; they are zeros in `blocks` */
  unwritten = new Set<number>();
  durableUnwritten = new Set<number>();
  durableSize = 0;
  readonly dirty = new Set<number>();

  constructor(id: number) {
    this.id = id;
  }

  makeDurable(): void {
    for (const block of this.dirty) {
      const content = this.blocks.get(block);
      if (content === undefined) this.durable.delete(block);
      else this.durable.set(block, Buffer.from(content));
    }
    this.dirty.clear();
    this.durableUnwritten = new Set(this.unwritten);
    this.durableSize = this.sizeBytes;
  }

  /** What is left of it after a loss of power. */
  afterPowerLoss(random: () => number): Inode {
    const left = new Inode(this.id);
    left.sizeBytes = Math.max(this.durableSize, this.sizeBytes);
    left.changed = this.changed;
    left.blocks = new Map([...this.durable].map(([block, content]) => [block, Buffer.from(content)]));
    left.unwritten = new Set(this.durableUnwritten);
    for (const block of this.dirty) {
      const fate = random();
      const content = this.blocks.get(block);
      if (fate < 0.5) {
        if (content === undefined) left.blocks.delete(block);
        else left.blocks.set(block, Buffer.from(content));
        if (this.unwritten.has(block)) left.unwritten.add(block);
        else left.unwritten.delete(block);
      } else if (fate < 0.75 && content !== undefined && !left.blocks.has(block)) {
        left.blocks.set(block, Buffer.alloc(BLOCK));
        left.unwritten.add(block);
      }
    }
    for (const block of left.blocks.keys()) left.dirty.add(block);
    left.makeDurable();
    return left;
  }
}

type Names = Map<string, Inode>;

class Disk {
  nextInode = 1;
  time = 1n;
  steps = 0;
  /** 0 = never */
  crashAt = 0;
  isDead = false;
  /** this many syncs of data files fail */
  syncsToFail = 0;
  /** blocks that may still be allocated; Infinity = no limit */
  freeBlocks = Number.POSITIVE_INFINITY;

  step(): void {
    this.check();
    this.steps++;
    if (this.steps !== this.crashAt) return;
    this.isDead = true;
    throw new CrashError(`crash at step ${this.steps}`);
  }

  check(): void {
    if (this.isDead) throw new CrashError('the process is dead');
  }
}

class MemoryFile implements DataFile {
  readonly name: string;
  bytesWritten = 0;
  private readonly disk: Disk;
  private readonly inode: Inode;
  private readonly isCold: () => boolean;
  private readonly onSyncFailure: (reason: string) => void;

  constructor(
    name: string,
    inode: Inode,
    disk: Disk,
    isCold: () => boolean,
    onSyncFailure: (reason: string) => void = () => undefined,
  ) {
    this.onSyncFailure = onSyncFailure;
    this.name = name;
    this.inode = inode;
    this.disk = disk;
    this.isCold = isCold;
  }

  readCached(into: Buffer, at: number, length: number, offset: number): number {
    return this.isCold() ? NOT_CACHED : this.readSync(into, at, length, offset);
  }

  readSync(into: Buffer, at: number, length: number, offset: number): number {
    this.disk.check();
    const count = Math.max(Math.min(length, this.inode.sizeBytes - offset), 0);
    for (let done = 0; done < count;) {
      const block = Math.floor((offset + done) / BLOCK);
      const start = (offset + done) % BLOCK;
      const part = Math.min(BLOCK - start, count - done);
      const content = this.inode.blocks.get(block);
      if (content === undefined) into.fill(0, at + done, at + done + part);
      else content.copy(into, at + done, start, start + part);
      done += part;
    }
    return count;
  }

  async read(into: Buffer, at: number, length: number, offset: number): Promise<number> {
    await Promise.resolve();
    return this.readSync(into, at, length, offset);
  }

  private change(block: number): Buffer {
    const found = this.inode.blocks.get(block);
    if (found !== undefined) return found;
    if (this.disk.freeBlocks <= 0) throw new DiskError('write', this.name, 'ENOSPC', 'no space left on device');
    this.disk.freeBlocks--;
    const fresh = Buffer.alloc(BLOCK);
    this.inode.blocks.set(block, fresh);
    return fresh;
  }

  write(from: Buffer, at: number, length: number, offset: number): void {
    this.disk.check();
    this.bytesWritten = 0;
    while (this.bytesWritten < length) {
      const position = offset + this.bytesWritten;
      const block = Math.floor(position / BLOCK);
      const start = position % BLOCK;
      const part = Math.min(BLOCK - start, length - this.bytesWritten);
      from.copy(this.change(block), start, at + this.bytesWritten, at + this.bytesWritten + part);
      this.inode.dirty.add(block);
      this.inode.unwritten.delete(block);
      this.bytesWritten += part;
    }
    this.inode.changed = this.disk.time++;
    this.inode.sizeBytes = Math.max(this.inode.sizeBytes, offset + length);
  }

  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void {
    this.write(Buffer.concat(pieces), 0, length, offset);
  }

  async writeLater(from: Buffer, at: number, length: number, offset: number): Promise<void> {
    this.disk.step();
    await Promise.resolve();
    this.write(from, at, length, offset);
  }

  punch(offset: number, length: number): void {
    this.disk.check();
    for (let block = Math.ceil(offset / BLOCK); block < Math.ceil((offset + length) / BLOCK); block++) {
      if (this.inode.blocks.delete(block)) this.disk.freeBlocks++;
      this.inode.unwritten.delete(block);
      this.inode.dirty.add(block);
    }
  }

  zero(offset: number, length: number): void {
    this.write(Buffer.alloc(length), 0, length, offset);
    for (let block = Math.ceil(offset / BLOCK); (block + 1) * BLOCK <= offset + length; block++)
      this.inode.unwritten.add(block);
  }

  extents(from: number, to: number, into: Float64Array): number {
    return this.ranges(this.inode.blocks.keys(), from, to, into);
  }

  unwritten(from: number, to: number, into: Float64Array): number {
    return this.ranges(this.inode.unwritten, from, to, into);
  }

  private ranges(of: Iterable<number>, from: number, to: number, into: Float64Array): number {
    const blocks = [...of].filter((b) => b * BLOCK < to && (b + 1) * BLOCK > from);
    let pairs = 0;
    for (const block of blocks.sort((a, b) => a - b)) {
      const start = Math.max(block * BLOCK, from);
      const end = Math.min((block + 1) * BLOCK, to);
      if (pairs > 0 && into[pairs * 2 - 1] === start) into[pairs * 2 - 1] = end;
      else if (pairs === into.length >> 1) return pairs;
      else {
        into[pairs * 2] = start;
        into[pairs * 2 + 1] = end;
        pairs++;
      }
    }
    return pairs;
  }

  statNow(): FileStat {
    return statOf(this.inode, 1);
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.disk.step();
    await Promise.resolve();
    this.inode.sizeBytes = sizeBytes;
  }

  startWriteback(): Promise<void> {
    return Promise.resolve();
  }

  dropCache(): Promise<void> {
    return Promise.resolve();
  }

  async sync(): Promise<void> {
    this.disk.step();
    await Promise.resolve();
    this.disk.check();
    if (this.disk.syncsToFail > 0) {
      this.disk.syncsToFail--;
      const failure = new DiskError('sync', this.name, 'EIO', 'input/output error');
      this.onSyncFailure(failure.message);
      throw failure;
    }
    this.inode.makeDurable();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function statOf(inode: Inode, linkCount: number): FileStat {
  return {
    sizeBytes: inode.sizeBytes,
    allocatedBytes: inode.blocks.size * BLOCK,
    inode: String(inode.id),
    linkCount,
    modifiedNs: inode.changed,
    changedNs: inode.changed,
  };
}

export class MemoryFolder implements Folder {
  readonly path = '/memory';
  readonly disk: Disk;
  /** says of a read whether it misses the page cache */
  isCold: () => boolean = () => false;
  onSyncFailure: (reason: string) => void = () => undefined;
  private names: Names;
  private durableNames: Names;
  private changes: ((names: Names) => void)[] = [];

  constructor(disk: Disk = new Disk(), names: Names = new Map()) {
    this.disk = disk;
    this.names = names;
    this.durableNames = new Map(names);
  }

  /** The folder as the next process finds it after this one died. */
  afterCrash(): MemoryFolder {
    const disk = new Disk();
    disk.nextInode = this.disk.nextInode;
    disk.time = this.disk.time;
    const next = new MemoryFolder(disk, this.names);
    next.durableNames = this.durableNames;
    next.changes = this.changes;
    return next;
  }

  /** The folder after the machine lost power; `random` is below 1. */
  afterPowerLoss(random: () => number): MemoryFolder {
    const disk = new Disk();
    disk.nextInode = this.disk.nextInode;
    disk.time = this.disk.time;
    const names = new Map(this.durableNames);
    const kept = Math.floor(random() * (this.changes.length + 1));
    for (const change of this.changes.slice(0, kept)) change(names);
    const left = new Map<Inode, Inode>();
    for (const inode of new Set(names.values())) left.set(inode, inode.afterPowerLoss(random));
    return new MemoryFolder(disk, new Map([...names].map(([name, inode]) => [name, left.get(inode) ?? inode])));
  }

  private apply(change: (names: Names) => void): void {
    change(this.names);
    this.changes.push(change);
  }

  private async begin(): Promise<void> {
    this.disk.step();
    await Promise.resolve();
    this.disk.check();
  }

  private fresh(): Inode {
    return new Inode(this.disk.nextInode++);
  }

  async list(): Promise<string[]> {
    await Promise.resolve();
    this.disk.check();
    return [...this.names.keys()];
  }

  async stat(name: string): Promise<FileStat | null> {
    await Promise.resolve();
    this.disk.check();
    const inode = this.names.get(name);
    if (inode === undefined) return null;
    return statOf(inode, [...this.names.values()].filter((other) => other === inode).length);
  }

  async readSmall(name: string, _bytesMax: number): Promise<Buffer | null> {
    await Promise.resolve();
    this.disk.check();
    const inode = this.names.get(name);
    if (inode === undefined) return null;
    const content = Buffer.alloc(inode.sizeBytes);
    new MemoryFile(name, inode, this.disk, () => false).readSync(content, 0, content.length, 0);
    return content;
  }

  async writeSmall(name: string, content: Buffer): Promise<void> {
    await this.begin();
    const inode = this.fresh();
    new MemoryFile(name, inode, this.disk, () => false).write(content, 0, content.length, 0);
    inode.makeDurable();
    this.apply((names) => names.set(name, inode));
  }

  async create(name: string, sizeBytes: number): Promise<DataFile> {
    await this.begin();
    const inode = this.fresh();
    inode.sizeBytes = sizeBytes;
    inode.durableSize = sizeBytes;
    this.apply((names) => names.set(name, inode));
    return new MemoryFile(name, inode, this.disk, this.isCold, (reason) => this.onSyncFailure(reason));
  }

  async open(name: string): Promise<DataFile> {
    await Promise.resolve();
    this.disk.check();
    const inode = this.names.get(name);
    if (inode === undefined) throw new DiskError('open', name, 'ENOENT', 'no such file or directory');
    return new MemoryFile(name, inode, this.disk, this.isCold, (reason) => this.onSyncFailure(reason));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.begin();
    const inode = this.names.get(from);
    if (inode === undefined) throw new DiskError('rename', from, 'ENOENT', 'no such file or directory');
    inode.changed = this.disk.time++;
    this.apply((names) => {
      // Two names of one file: the system call does nothing.
      if (names.get(to) === inode) return;
      names.delete(from);
      names.set(to, inode);
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.begin();
    const inode = this.names.get(from);
    if (inode === undefined || this.names.has(to)) throw new DiskError('link', to, 'EEXIST', 'file exists');
    this.apply((names) => names.set(to, inode));
  }

  async remove(name: string): Promise<boolean> {
    await this.begin();
    if (!this.names.has(name)) return false;
    this.apply((names) => names.delete(name));
    return true;
  }

  async sync(): Promise<void> {
    await this.begin();
    this.durableNames = new Map(this.names);
    this.changes = [];
  }

  /** The only process of its world. */
  lock(): Promise<FolderLock> {
    return Promise.resolve({ release: () => Promise.resolve() });
  }
}
