/**
 * System calls that Node does not offer, bound once through koffi. Thin: numbers in, result or negative errno out.
 * The calls on the hot path allocate nothing.
 */
import koffi, { type KoffiFunc } from 'koffi';
import type { LockKind } from '../disk.ts';

const libc = koffi.load(null);
type Int = number;

type Preadv2 = (fd: Int, iov: Uint32Array, count: Int, offset: number, flags: Int) => number;
type Fallocate = (fd: Int, mode: Int, offset: number, length: number) => Int;
type Lseek = (fd: Int, offset: number, whence: Int) => number;
type Ioctl = (fd: Int, request: number, argument: Buffer) => Int;
type SyncFileRange = (fd: Int, offset: number, length: number, flags: Int) => Int;
type Flock = (fd: Int, operation: Int) => Int;

const preadv2: KoffiFunc<Preadv2> = libc.func(
  'int64_t preadv2(int fd, void *iov, int count, int64_t offset, int flags)',
) as KoffiFunc<Preadv2>;
const fallocate = libc.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)') as KoffiFunc<Fallocate>;
type PosixFallocate = (fd: Int, offset: number, length: number) => Int;
/** Answers with the errno, which the errno of a thread of its own cannot tell. */
const posixFallocate = libc.func(
  'int posix_fallocate(int fd, int64_t offset, int64_t length)',
) as KoffiFunc<PosixFallocate>;
const lseek = libc.func('int64_t lseek(int fd, int64_t offset, int whence)') as KoffiFunc<Lseek>;
const ioctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)') as KoffiFunc<Ioctl>;
const syncFileRange = libc.func(
  'int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)',
) as KoffiFunc<SyncFileRange>;
type PosixFadvise = (fd: Int, offset: number, length: number, advice: Int) => Int;
/** Answers with the errno. */
const posixFadvise = libc.func(
  'int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)',
) as KoffiFunc<PosixFadvise>;
const flock = libc.func('int flock(int fd, int operation)') as KoffiFunc<Flock>;

const RWF_NOWAIT = 8;
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const FS_IOC_FIEMAP = 0xc020660b;
const SYNC_FILE_RANGE_WRITE = 2;
const POSIX_FADV_DONTNEED = 4;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const FIEMAP_HEADER_BYTES = 32;
const FIEMAP_EXTENT_BYTES = 56;
const FIEMAP_EXTENT_UNWRITTEN = 0x800;

const iov = new Uint32Array(4);
let lastMemory: ArrayBufferLike | null = null;
let lastAddress = 0;
const addresses = new WeakMap<ArrayBufferLike, number>();

/** Address of a buffer's memory; below 2^53 on every 64 bit Linux, so a number holds it. */
function memoryAddress(buffer: Buffer): number {
  const memory = buffer.buffer;
  if (memory !== lastMemory) {
    let address = addresses.get(memory);
    if (address === undefined) {
      address = Number(koffi.address(new Uint8Array(memory)));
      addresses.set(memory, address);
    }
    lastMemory = memory;
    lastAddress = address;
  }
  return lastAddress;
}

/** Bytes read from the page cache; -EAGAIN (-11) when the device would have to be waited for. */
export function readNoWait(fd: number, into: Buffer, at: number, length: number, offset: number): number {
  const address = memoryAddress(into) + into.byteOffset + at;
  iov[0] = address >>> 0;
  iov[1] = Math.floor(address / 0x1_0000_0000);
  iov[2] = length;
  iov[3] = 0;
  const count = preadv2(fd, iov, 1, offset, RWF_NOWAIT);
  return count < 0 ? -koffi.errno() : count;
}

/** 0 or negative errno. */
export function punchHole(fd: number, offset: number, length: number): number {
  return fallocate(fd, KEEP_SIZE | PUNCH_HOLE, offset, length) < 0 ? -koffi.errno() : 0;
}

/** Makes a call on a thread of its own, and answers with its result; rejects when it could not be made. */
function onThread(name: string, make: (done: (error: unknown, result: number) => void) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    make((error, result) => {
      if (error) reject(error instanceof Error ? error : new Error(`${name} failed`, { cause: error }));
      else resolve(result);
    });
  });
}

/** Allocates the first `length` bytes of a file, on a thread of its own: on a full disk the file system looks hard. 0 or negative errno. */
export async function allocate(fd: number, length: number): Promise<number> {
  return -(await onThread('posix_fallocate', (done) => posixFallocate.async(fd, 0, length, done)));
}

/** 0 or negative errno. The range becomes unwritten extents. */
export function zeroRange(fd: number, offset: number, length: number): number {
  return fallocate(fd, KEEP_SIZE | ZERO_RANGE, offset, length) < 0 ? -koffi.errno() : 0;
}

/** Position of the next data at or after `offset`, or negative errno (-ENXIO, -6: none). */
export function seekData(fd: number, offset: number): number {
  const at = lseek(fd, offset, SEEK_DATA);
  return at < 0 ? -koffi.errno() : at;
}

/** Position of the next hole at or after `offset`, or negative errno. */
export function seekHole(fd: number, offset: number): number {
  const at = lseek(fd, offset, SEEK_HOLE);
  return at < 0 ? -koffi.errno() : at;
}

/** A reusable argument for `fiemap` with room for `extentsMax` extents. */
export function fiemapArgument(extentsMax: number): Buffer {
  return Buffer.allocUnsafeSlow(FIEMAP_HEADER_BYTES + extentsMax * FIEMAP_EXTENT_BYTES);
}

/** Number of extents that the kernel put into `argument` for [offset, offset+length), or negative errno. */
export function fiemap(fd: number, argument: Buffer, offset: number, length: number): number {
  const extentsMax = Math.floor((argument.length - FIEMAP_HEADER_BYTES) / FIEMAP_EXTENT_BYTES);
  argument.fill(0, 0, FIEMAP_HEADER_BYTES);
  argument.writeBigUInt64LE(BigInt(offset), 0);
  argument.writeBigUInt64LE(BigInt(length), 8);
  argument.writeUInt32LE(extentsMax, 24);
  if (ioctl(fd, FS_IOC_FIEMAP, argument) < 0) return -koffi.errno();
  return argument.readUInt32LE(20);
}

/** Start of the i-th extent of a `fiemap` answer. */
export function fiemapStart(argument: Buffer, i: number): number {
  return readSize(argument, FIEMAP_HEADER_BYTES + i * FIEMAP_EXTENT_BYTES);
}

/** Length of the i-th extent of a `fiemap` answer. */
export function fiemapLength(argument: Buffer, i: number): number {
  return readSize(argument, FIEMAP_HEADER_BYTES + i * FIEMAP_EXTENT_BYTES + 16);
}

/** A u64 of the kernel's that is no more than a file's size; without a bigint, since a replica may have a million of them. */
function readSize(argument: Buffer, at: number): number {
  return argument.readUInt32LE(at) + argument.readUInt32LE(at + 4) * 0x1_0000_0000;
}

/** Whether the i-th extent of a `fiemap` answer has a place but no content (FIEMAP_EXTENT_UNWRITTEN). */
export function fiemapIsUnwritten(argument: Buffer, i: number): boolean {
  return (argument.readUInt32LE(FIEMAP_HEADER_BYTES + i * FIEMAP_EXTENT_BYTES + 40) & FIEMAP_EXTENT_UNWRITTEN) !== 0;
}

/** Starts writing a file's dirty pages, on a thread of its own (starting can itself wait for the device's queue). */
export async function startWriteback(fd: number): Promise<void> {
  await onThread('sync_file_range', (done) => syncFileRange.async(fd, 0, 0, SYNC_FILE_RANGE_WRITE, done));
}

/** Takes a file's clean pages out of the page cache, on a thread of its own. 0 or negative errno. */
export async function dropCleanPages(fd: number): Promise<number> {
  return -(await onThread('posix_fadvise', (done) => posixFadvise.async(fd, 0, 0, POSIX_FADV_DONTNEED, done)));
}

/** Tries to take a lock on an open file: true if it was free. */
export function tryLock(fd: number, kind: LockKind = 'exclusive'): boolean {
  return flock(fd, (kind === 'exclusive' ? LOCK_EX : LOCK_SH) | LOCK_NB) === 0;
}
