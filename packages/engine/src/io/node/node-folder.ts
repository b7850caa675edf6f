/**
 * The disk contract by the kernel: page cache I/O, small metadata files, names synced through the folder.
 * Whatever may wait for the device runs in the thread pool, except the few calls that the contract marks.
 */
import fs from 'node:fs';
import { constants } from 'node:fs';
import { open, readdir, rename, link, unlink, stat, mkdir, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { BLOCK_BYTES, EXTENTS_PER_CALL } from '../../limits.ts';
import {
  DiskError,
  NOT_CACHED,
  errnoCode,
  type DataFile,
  type FileStat,
  type Folder,
  type FolderLock,
  type LockKind,
} from '../disk.ts';
import { lockFolder } from './folder-lock.ts';
import {
  dropCleanPages,
  fiemap,
  fiemapArgument,
  fiemapIsUnwritten,
  fiemapLength,
  fiemapStart,
  punchHole,
  readNoWait,
  seekData,
  seekHole,
  startWriteback,
  zeroRange,
} from './linux.ts';
import { SpaceReserve } from './space-reserve.ts';

const EAGAIN = -11;
const ENXIO = -6;
/** More than a disk's meta has. */
const SMALL_FILE_BYTES = 4096;
const ZEROS = Buffer.alloc(64 << 10);

let sharedArgument: Buffer | null = null;

function failure(operation: string, path: string, errno: number): DiskError {
  return new DiskError(operation, path, getSystemErrorName(errno), getSystemErrorMessage(errno) ?? `errno ${-errno}`);
}

/** What Node threw, in the contract's form. */
function toDiskError(operation: string, path: string, error: unknown): DiskError {
  const errno = error instanceof Error && 'errno' in error && typeof error.errno === 'number' ? error.errno : 0;
  const reason = errno < 0 ? getSystemErrorMessage(errno) : error instanceof Error ? error.message : String(error);
  return new DiskError(operation, path, errnoCode(error), reason ?? `errno ${-errno}`, { cause: error });
}

async function guarded<T>(operation: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toDiskError(operation, path, error);
  }
}

/** A whole file, in few calls: a replica may have 250 of them. null: it is larger. */
async function readAtMost(path: string, bytesMax: number): Promise<Buffer | null> {
  const handle = await open(path, 'r');
  try {
    let content = Buffer.allocUnsafe(SMALL_FILE_BYTES);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(content, length, content.length - length, length);
      if (bytesRead === 0) return content.subarray(0, length);
      length += bytesRead;
      if (length > bytesMax) return null;
      if (length === content.length) content = Buffer.concat([content, Buffer.allocUnsafe(length)]);
    }
  } finally {
    await handle.close();
  }
}

function toFileStat(found: fs.BigIntStats): FileStat {
  return {
    sizeBytes: Number(found.size),
    allocatedBytes: Number(found.blocks) * 512,
    inode: found.ino.toString(),
    linkCount: Number(found.nlink),
    modifiedNs: found.mtimeNs,
    changedNs: found.ctimeNs,
  };
}

class NodeDataFile implements DataFile {
  readonly name: string;
  bytesWritten = 0;
  private readonly path: string;
  private readonly handle: FileHandle;
  private readonly fd: number;
  private hasNoWait = true;
  private readonly hasFiemap: boolean;
  private readonly onSyncFailure: (reason: string) => void;

  constructor(name: string, path: string, handle: FileHandle, onSyncFailure: (reason: string) => void) {
    this.name = name;
    this.onSyncFailure = onSyncFailure;
    this.path = path;
    this.handle = handle;
    this.fd = handle.fd;
    sharedArgument ??= fiemapArgument(EXTENTS_PER_CALL);
    this.hasFiemap = fiemap(this.fd, sharedArgument, 0, BLOCK_BYTES) >= 0;
  }

  readCached(into: Buffer, at: number, length: number, offset: number): number {
    if (!this.hasNoWait) return NOT_CACHED;
    let done = 0;
    while (done < length) {
      const count = readNoWait(this.fd, into, at + done, length - done, offset + done);
      if (count === 0) return done;
      if (count < 0) {
        // A file system without support says so once; a real error comes up again in the read that waits.
        if (count !== EAGAIN) this.hasNoWait = false;
        return NOT_CACHED;
      }
      done += count;
    }
    return done;
  }

  readSync(into: Buffer, at: number, length: number, offset: number): number {
    let done = 0;
    try {
      while (done < length) {
        const count = fs.readSync(this.fd, into, at + done, length - done, offset + done);
        if (count === 0) return done;
        done += count;
      }
    } catch (error) {
      throw toDiskError('read', this.path, error);
    }
    return done;
  }

  async read(into: Buffer, at: number, length: number, offset: number): Promise<number> {
    return guarded('read', this.path, async () => {
      let done = 0;
      while (done < length) {
        const { bytesRead } = await this.handle.read(into, at + done, length - done, offset + done);
        if (bytesRead === 0) return done;
        done += bytesRead;
      }
      return done;
    });
  }

  write(from: Buffer, at: number, length: number, offset: number): void {
    this.bytesWritten = 0;
    try {
      while (this.bytesWritten < length) {
        const done = this.bytesWritten;
        this.bytesWritten += fs.writeSync(this.fd, from, at + done, length - done, offset + done);
      }
    } catch (error) {
      throw toDiskError('write', this.path, error);
    }
  }

  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void {
    this.bytesWritten = 0;
    let count = 0;
    try {
      count = fs.writevSync(this.fd, pieces, offset);
    } catch (error) {
      throw toDiskError('write', this.path, error);
    }
    if (count === length) {
      this.bytesWritten = count;
      return;
    }
    this.writeRest(pieces, count, offset);
  }

  /** After a short vectored write: the rest piece by piece. */
  private writeRest(pieces: readonly Buffer[], written: number, offset: number): void {
    let start = 0;
    let done = written;
    for (const piece of pieces) {
      const skip = Math.min(Math.max(written - start, 0), piece.length);
      if (skip < piece.length) {
        try {
          this.write(piece, skip, piece.length - skip, offset + start + skip);
        } finally {
          done += this.bytesWritten;
          this.bytesWritten = done;
        }
      }
      start += piece.length;
    }
  }

  async writeLater(from: Buffer, at: number, length: number, offset: number): Promise<void> {
    await guarded('write', this.path, async () => {
      for (let done = 0; done < length;) {
        const { bytesWritten } = await this.handle.write(from, at + done, length - done, offset + done);
        done += bytesWritten;
      }
    });
  }

  punch(offset: number, length: number): void {
    const result = punchHole(this.fd, offset, length);
    if (result < 0) throw failure('fallocate', this.path, result);
  }

  zero(offset: number, length: number): void {
    // Unwritten extents are seen by FIEMAP only: without it the zeros have to be written.
    if (this.hasFiemap && zeroRange(this.fd, offset, length) === 0) return;
    for (let done = 0; done < length; done += ZEROS.length) {
      this.write(ZEROS, 0, Math.min(ZEROS.length, length - done), offset + done);
    }
  }

  extents(from: number, to: number, into: Float64Array): number {
    if (to <= from) return 0;
    return this.hasFiemap ? this.extentsByFiemap(from, to, into, false) : this.extentsBySeek(from, to, into);
  }

  unwritten(from: number, to: number, into: Float64Array): number {
    // Without FIEMAP an unwritten extent is a hole, also for `extents`.
    return to <= from || !this.hasFiemap ? 0 : this.extentsByFiemap(from, to, into, true);
  }

  private extentsByFiemap(from: number, to: number, into: Float64Array, isOnlyUnwritten: boolean): number {
    const argument = (sharedArgument ??= fiemapArgument(EXTENTS_PER_CALL));
    const pairsMax = into.length >> 1;
    let pairs = 0;
    let at = from;
    while (pairs < pairsMax && at < to) {
      const count = fiemap(this.fd, argument, at, to - at);
      if (count < 0) throw failure('fiemap', this.path, count);
      if (count === 0) break;
      for (let i = 0; i < count && pairs < pairsMax; i++) {
        const start = fiemapStart(argument, i);
        const end = Math.min(start + fiemapLength(argument, i), to);
        const last = pairs * 2 - 1;
        at = end;
        if (isOnlyUnwritten && !fiemapIsUnwritten(argument, i)) continue;
        // Neighbouring extents are one range for everybody who asks.
        if (pairs > 0 && into[last] === start) into[last] = end;
        else {
          into[pairs * 2] = Math.max(start, from);
          into[pairs * 2 + 1] = end;
          pairs++;
        }
      }
      if (count < EXTENTS_PER_CALL) break;
    }
    return pairs;
  }

  private extentsBySeek(from: number, to: number, into: Float64Array): number {
    const pairsMax = into.length >> 1;
    let pairs = 0;
    let at = from;
    while (pairs < pairsMax && at < to) {
      const start = seekData(this.fd, at);
      if (start === ENXIO || start >= to) break;
      if (start < 0) throw failure('lseek', this.path, start);
      const end = seekHole(this.fd, start);
      if (end < 0) throw failure('lseek', this.path, end);
      into[pairs * 2] = start;
      into[pairs * 2 + 1] = Math.min(end, to);
      pairs++;
      at = end;
    }
    return pairs;
  }

  statNow(): FileStat {
    try {
      return toFileStat(fs.fstatSync(this.fd, { bigint: true }));
    } catch (error) {
      throw toDiskError('stat', this.path, error);
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    return guarded('truncate', this.path, () => this.handle.truncate(sizeBytes));
  }

  startWriteback(): Promise<void> {
    return guarded('sync_file_range', this.path, () => startWriteback(this.fd));
  }

  async dropCache(): Promise<void> {
    const errno = await dropCleanPages(this.fd);
    if (errno < 0) throw failure('fadvise', this.path, errno);
  }

  async sync(): Promise<void> {
    try {
      await this.handle.datasync();
    } catch (error) {
      const failed = toDiskError('fdatasync', this.path, error);
      this.onSyncFailure(failed.message);
      throw failed;
    }
  }

  close(): Promise<void> {
    return guarded('close', this.path, () => this.handle.close());
  }
}

class NodeFolder implements Folder {
  readonly path: string;
  onSyncFailure: (reason: string) => void = () => undefined;
  private readonly reserve: SpaceReserve;

  constructor(path: string, reserve: SpaceReserve) {
    this.path = path;
    this.reserve = reserve;
  }

  /** What the folder needs for its own metadata goes through on a full disk, too. */
  private guarded<T>(operation: string, path: string, work: () => Promise<T>): Promise<T> {
    return guarded(operation, path, () => this.reserve.lend(work));
  }

  private at(name: string): string {
    return join(this.path, name);
  }

  list(): Promise<string[]> {
    return guarded('open', this.path, () => readdir(this.path));
  }

  async stat(name: string): Promise<FileStat | null> {
    try {
      return toFileStat(await stat(this.at(name), { bigint: true }));
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return null;
      throw toDiskError('stat', this.at(name), error);
    }
  }

  async readSmall(name: string, bytesMax: number): Promise<Buffer | null> {
    const path = this.at(name);
    let content: Buffer | null;
    try {
      content = await guarded('read', path, () => readAtMost(path, bytesMax));
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return null;
      throw error;
    }
    if (content === null) throw new DiskError('read', path, 'EFBIG', `larger than ${bytesMax} bytes`);
    return content;
  }

  writeSmall(name: string, content: Buffer): Promise<void> {
    const path = this.at(name);
    return this.guarded('write', path, async () => {
      const handle = await open(path, 'w');
      try {
        await handle.writeFile(content);
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  }

  create(name: string, sizeBytes: number): Promise<DataFile> {
    const path = this.at(name);
    return this.guarded('create', path, async () => {
      // Unlinked, not truncated: the old name may be a second name of a file that lives on.
      await this.remove(name);
      const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o666);
      try {
        await handle.truncate(sizeBytes);
        await handle.sync();
        return new NodeDataFile(name, path, handle, (reason) => this.onSyncFailure(reason));
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  open(name: string, access: 'read' | 'write'): Promise<DataFile> {
    return openDataFile(this.at(name), name, access, (reason) => this.onSyncFailure(reason));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.guarded('rename', this.at(from), () => rename(this.at(from), this.at(to)));
    // What had the name before is gone: its space is the reserve's again, before somebody else takes it.
    await this.refill();
  }

  private refill(): Promise<void> {
    return guarded('open', this.path, () => this.reserve.fill());
  }

  link(from: string, to: string): Promise<void> {
    return this.guarded('link', this.at(to), () => link(this.at(from), this.at(to)));
  }

  async remove(name: string): Promise<boolean> {
    try {
      await unlink(this.at(name));
      return true;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false;
      throw toDiskError('remove', this.at(name), error);
    }
  }

  async sync(): Promise<void> {
    await guarded('fsync', this.path, async () => {
      const handle = await open(this.path, constants.O_RDONLY | constants.O_DIRECTORY);
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
    await this.refill();
  }

  lock(kind: LockKind, holder: string, onRequest: () => void): Promise<FolderLock | { heldBy: string }> {
    return guarded('lock', this.path, () => lockFolder(this.path, kind, holder, onRequest));
  }
}

/** Opens a data file anywhere, for example a backing file; `name` is what it is called in the replica. */
export async function openDataFile(
  path: string,
  name: string,
  access: 'read' | 'write',
  onSyncFailure: (reason: string) => void = () => undefined,
): Promise<DataFile> {
  return guarded('open', path, async () => {
    const handle = await open(path, access === 'write' ? constants.O_RDWR : constants.O_RDONLY);
    return new NodeDataFile(name, path, handle, onSyncFailure);
  });
}

/** A folder on this machine; created with mode 0700 when it is missing. */
export async function openNodeFolder(path: string): Promise<Folder> {
  await guarded('mkdir', path, () => mkdir(path, { recursive: true, mode: 0o700 }));
  const reserve = new SpaceReserve(path);
  await guarded('open', path, () => reserve.fill());
  return new NodeFolder(path, reserve);
}
