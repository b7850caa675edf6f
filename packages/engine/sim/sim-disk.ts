/**
 * A folder on a simulated disk.
 *
 * Faults: a power cut keeps of each 512 byte sector that was not synced the old or the new content, by chance, and of the
 * changes of names since the folder was last synced a prefix. A killed process loses nothing: the page cache stays. A
 * full disk refuses writes. What does not happen: synced bytes do not change, and a sync that has answered has synced.
 *
 * Not modelled: blocks whose place was noted before their content came (unwritten extents after a crash), and holes punched
 * without a sync.
 */
import { DiskError, type DataFile, type FileStat, type Folder } from '../src/io/disk.ts';
import type { Random } from '../src/membership/random.ts';
import type { ProcessClock } from './sim-time.ts';

const BLOCK = 4096;
const SECTOR = 512;
const SYNC_MS_MAX = 8;

interface Inode {
  readonly number: number;
  live: Buffer;
  synced: Buffer;
  /** allocated blocks, of what is live and of what is synced */
  blocks: Set<number>;
  syncedBlocks: Set<number>;
  /** blocks changed since the last sync */
  dirty: Set<number>;
  links: number;
  modified: number;
  changed: number;
}

/** The disk of one node; survives its processes. */
export class SimDisk {
  private readonly random: Random;
  private readonly folders = new Map<string, DiskFolder>();
  isFull = false;
  /** a build whose fdatasync does nothing: the canary that checks must find */
  ignoresSync = false;
  private ticks = 1;
  private inodes = 1;

  constructor(random: Random) {
    this.random = random;
  }

  folder(path: string): DiskFolder {
    let folder = this.folders.get(path);
    if (!folder) {
      folder = new DiskFolder(this);
      this.folders.set(path, folder);
    }
    return folder;
  }

  removeFolder(path: string): void {
    this.folders.delete(path);
  }

  /** What was not synced is lost, sector by sector. */
  cutPower(): void {
    for (const folder of this.folders.values()) folder.cutPower(this.random);
    this.isFull = false;
  }

  tick(): number {
    return this.ticks++;
  }

  newInode(sizeBytes: number): Inode {
    const at = this.tick();
    return {
      number: this.inodes++,
      live: Buffer.alloc(sizeBytes),
      synced: Buffer.alloc(sizeBytes),
      blocks: new Set(),
      syncedBlocks: new Set(),
      dirty: new Set(),
      links: 0,
      modified: at,
      changed: at,
    };
  }
}

/** Names of one folder: live, and as they are on the disk. */
export class DiskFolder {
  readonly disk: SimDisk;
  names = new Map<string, Inode>();
  private syncedNames = new Map<string, Inode>();
  private changes: ((names: Map<string, Inode>) => void)[] = [];

  constructor(disk: SimDisk) {
    this.disk = disk;
  }

  change(apply: (names: Map<string, Inode>) => void): void {
    apply(this.names);
    this.changes.push(apply);
  }

  sync(): void {
    if (this.disk.ignoresSync) return;
    this.syncedNames = new Map(this.names);
    this.changes = [];
  }

  cutPower(random: Random): void {
    const kept = random.below(this.changes.length + 1);
    for (const apply of this.changes.slice(0, kept)) apply(this.syncedNames);
    this.changes = [];
    this.names = new Map(this.syncedNames);
    for (const inode of new Set(this.names.values())) lose(inode, random);
  }

  /** A copy for another node, as a file transfer makes it. */
  bytesOf(name: string): { content: Buffer; blocks: Set<number> } | null {
    const inode = this.names.get(name);
    return inode ? { content: Buffer.from(inode.live), blocks: new Set(inode.blocks) } : null;
  }

  /** Puts a transferred file in place; nothing of it is synced. */
  receive(name: string, content: Buffer, blocks: ReadonlySet<number>): void {
    const inode = this.disk.newInode(0);
    inode.live = Buffer.from(content);
    inode.blocks = new Set(blocks);
    inode.dirty = new Set(blocks);
    this.change((names) => names.set(name, inode));
  }
}

function lose(inode: Inode, random: Random): void {
  // A file that grew or shrank without a sync has its old or its new length.
  const isResized = inode.live.length !== inode.synced.length;
  const keepsSize = isResized && random.chance(0.5);
  const size = keepsSize ? inode.live.length : inode.synced.length;
  const content = Buffer.alloc(size);
  inode.synced.copy(content, 0, 0, Math.min(size, inode.synced.length));
  const blocks = new Set(inode.syncedBlocks);
  for (const block of inode.dirty) {
    // A block that had no place on the disk yet has all of its content there, or is still a hole.
    const isNew = !inode.syncedBlocks.has(block);
    if (isNew && !(inode.blocks.has(block) && random.chance(0.5))) continue;
    blocks.add(block);
    for (let at = block * BLOCK; at < Math.min((block + 1) * BLOCK, size, inode.live.length); at += SECTOR) {
      if (isNew || random.chance(0.5)) inode.live.copy(content, at, at, Math.min(at + SECTOR, inode.live.length));
    }
  }
  inode.live = Buffer.from(content);
  inode.synced = content;
  inode.blocks = blocks;
  inode.syncedBlocks = new Set(blocks);
  inode.dirty = new Set();
}

/** The folder as one process sees it: slow calls take virtual time, and none returns after its death. */
export class SimFolder implements Folder {
  readonly path: string;
  private readonly on: DiskFolder;
  private readonly clock: ProcessClock;
  private readonly random: Random;

  constructor(path: string, on: DiskFolder, clock: ProcessClock, random: Random) {
    this.path = path;
    this.on = on;
    this.clock = clock;
    this.random = random;
  }

  private async wait(): Promise<void> {
    if (this.random.chance(0.2)) await this.clock.pause(this.random.below(SYNC_MS_MAX));
  }

  async list(): Promise<string[]> {
    await this.wait();
    return [...this.on.names.keys()];
  }

  async stat(name: string): Promise<FileStat | null> {
    await this.wait();
    const inode = this.on.names.get(name);
    return inode ? statOf(inode) : null;
  }

  async readSmall(name: string, bytesMax: number): Promise<Buffer | null> {
    await this.wait();
    const inode = this.on.names.get(name);
    if (!inode) return null;
    if (inode.live.length > bytesMax) throw new DiskError('read', name, 'EFBIG', 'file too large');
    return Buffer.from(inode.live);
  }

  async writeSmall(name: string, content: Buffer): Promise<void> {
    await this.wait();
    this.assertRoom('write', name);
    const existing = this.on.names.get(name);
    const inode = existing ?? this.on.disk.newInode(0);
    if (!existing) this.on.change((names) => names.set(name, inode));
    inode.live = Buffer.from(content);
    inode.blocks = new Set([0]);
    inode.dirty = new Set([0]);
    touch(inode, this.on.disk);
    await this.wait();
    this.syncInode(inode);
  }

  async create(name: string, sizeBytes: number): Promise<DataFile> {
    await this.wait();
    this.assertRoom('create', name);
    const inode = this.on.disk.newInode(sizeBytes);
    this.on.change((names) => names.set(name, inode));
    return this.openInode(name, inode);
  }

  async open(name: string): Promise<DataFile> {
    await this.wait();
    const inode = this.on.names.get(name);
    if (!inode) throw new DiskError('open', `${this.path}/${name}`, 'ENOENT', 'no such file or directory');
    return this.openInode(name, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.wait();
    const inode = this.on.names.get(from);
    if (!inode) throw new DiskError('rename', from, 'ENOENT', 'no such file or directory');
    touch(inode, this.on.disk);
    this.on.change((names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  async link(from: string, to: string): Promise<void> {
    await this.wait();
    const inode = this.on.names.get(from);
    if (!inode) throw new DiskError('link', from, 'ENOENT', 'no such file or directory');
    if (this.on.names.has(to)) throw new DiskError('link', to, 'EEXIST', 'file exists');
    touch(inode, this.on.disk);
    this.on.change((names) => names.set(to, inode));
  }

  async remove(name: string): Promise<boolean> {
    await this.wait();
    if (!this.on.names.has(name)) return false;
    this.on.change((names) => names.delete(name));
    return true;
  }

  async sync(): Promise<void> {
    await this.wait();
    this.on.sync();
  }

  private assertRoom(operation: string, name: string): void {
    if (this.on.disk.isFull) throw new DiskError(operation, name, 'ENOSPC', 'no space left on device');
  }

  private syncInode(inode: Inode): void {
    if (!this.on.disk.ignoresSync) syncInode(inode);
  }

  private openInode(name: string, inode: Inode): SimFile {
    const sync = async (): Promise<void> => {
      await this.clock.pause(1 + this.random.below(SYNC_MS_MAX));
      this.syncInode(inode);
    };
    return new SimFile(name, inode, this.on.disk, sync);
  }
}

function touch(inode: Inode, disk: SimDisk): void {
  inode.changed = disk.tick();
  inode.modified = inode.changed;
}

function syncInode(inode: Inode): void {
  inode.synced = Buffer.from(inode.live);
  inode.syncedBlocks = new Set(inode.blocks);
  inode.dirty = new Set();
}

function statOf(inode: Inode): FileStat {
  return {
    sizeBytes: inode.live.length,
    allocatedBytes: inode.blocks.size * BLOCK,
    inode: String(inode.number),
    linkCount: inode.links,
    modifiedNs: BigInt(inode.modified),
    changedNs: BigInt(inode.changed),
  };
}

class SimFile implements DataFile {
  readonly name: string;
  bytesWritten = 0;
  private readonly inode: Inode;
  private readonly disk: SimDisk;
  private readonly syncNow: () => Promise<void>;

  constructor(name: string, inode: Inode, disk: SimDisk, syncNow: () => Promise<void>) {
    this.name = name;
    this.inode = inode;
    this.disk = disk;
    this.syncNow = syncNow;
  }

  readCached(into: Buffer, at: number, length: number, offset: number): number {
    const end = Math.min(offset + length, this.inode.live.length);
    return end <= offset ? 0 : this.inode.live.copy(into, at, offset, end);
  }

  readSync(into: Buffer, at: number, length: number, offset: number): number {
    return this.readCached(into, at, length, offset);
  }

  read(into: Buffer, at: number, length: number, offset: number): Promise<number> {
    return Promise.resolve(this.readCached(into, at, length, offset));
  }

  write(from: Buffer, at: number, length: number, offset: number): void {
    this.bytesWritten = 0;
    if (this.disk.isFull) throw new DiskError('write', this.name, 'ENOSPC', 'no space left on device');
    this.grow(offset + length);
    from.copy(this.inode.live, offset, at, at + length);
    this.mark(offset, length);
    this.bytesWritten = length;
  }

  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void {
    this.write(Buffer.concat(pieces, length), 0, length, offset);
  }

  writeLater(from: Buffer, at: number, length: number, offset: number): Promise<void> {
    return Promise.resolve().then(() => this.write(from, at, length, offset));
  }

  punch(offset: number, length: number): void {
    const end = Math.min(offset + length, this.inode.live.length);
    if (end <= offset) return;
    this.inode.live.fill(0, offset, end);
    this.mark(offset, end - offset);
    for (let block = Math.ceil(offset / BLOCK); (block + 1) * BLOCK <= end; block++) this.inode.blocks.delete(block);
  }

  zero(offset: number, length: number): void {
    this.inode.live.fill(0, offset, offset + length);
    this.mark(offset, length);
  }

  extents(from: number, to: number, into: Float64Array): number {
    let pairs = 0;
    const blocks = [...this.inode.blocks].toSorted((left, right) => left - right);
    for (let index = 0; index < blocks.length && pairs * 2 < into.length;) {
      const first = blocks[index] ?? 0;
      let end = first + 1;
      index++;
      while (index < blocks.length && blocks[index] === end) {
        end++;
        index++;
      }
      if (end * BLOCK <= from || first * BLOCK >= to) continue;
      into[pairs * 2] = first * BLOCK;
      into[pairs * 2 + 1] = end * BLOCK;
      pairs++;
    }
    return pairs;
  }

  statNow(): FileStat {
    return statOf(this.inode);
  }

  truncate(sizeBytes: number): Promise<void> {
    const { live } = this.inode;
    this.inode.live = Buffer.alloc(sizeBytes);
    live.copy(this.inode.live, 0, 0, Math.min(live.length, sizeBytes));
    touch(this.inode, this.disk);
    return Promise.resolve();
  }

  startWriteback(): Promise<void> {
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return this.syncNow();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  private grow(sizeBytes: number): void {
    if (this.inode.live.length >= sizeBytes) return;
    const { live } = this.inode;
    this.inode.live = Buffer.alloc(sizeBytes);
    live.copy(this.inode.live);
  }

  private mark(offset: number, length: number): void {
    for (let block = Math.floor(offset / BLOCK); block * BLOCK < offset + length; block++) {
      this.inode.blocks.add(block);
      this.inode.dirty.add(block);
    }
    touch(this.inode, this.disk);
  }
}
