/**
 * What a replica needs of the disk under it. Two implementations: the kernel (`node/node-folder.ts`), and the tests'
 * folder that stops, forgets what was not synced, or runs full.
 *
 * Names are plain file names in one folder. Methods without a promise are for the hot path: they must not wait for
 * the device as long as the page cache can serve them. Failures are thrown as `DiskError`.
 */

/** A failed system call, in upstream's form: `write /path: no space left on device`. */
export class DiskError extends Error {
  override readonly name = 'DiskError';
  /** `ENOSPC`, `EIO`, … */
  readonly code: string;

  constructor(operation: string, path: string, code: string, reason: string, options?: ErrorOptions) {
    super(`${operation} ${path}: ${reason}`, options);
    this.code = code;
  }
}

export interface FileStat {
  readonly sizeBytes: number;
  /** bytes that the file system has allocated (st_blocks · 512) */
  readonly allocatedBytes: number;
  readonly inode: string;
  readonly linkCount: number;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/** Allocated space that a folder keeps for its metadata, see `node/space-reserve.ts`; a folder without it keeps none. */
export const RESERVE_FILE = 'longhorn-reserve';

/** `readCached`: the bytes are not in the page cache. */
export const NOT_CACHED = -1;

/** An open data file: sparse, fixed size, read and written by position. */
export interface DataFile {
  readonly name: string;
  /** Bytes read (fewer at the end of the file), or NOT_CACHED when the device would have to be waited for. */
  readCached(into: Buffer, at: number, length: number, offset: number): number;
  /** Like `readCached`, but waits for the device on the calling thread. */
  readSync(into: Buffer, at: number, length: number, offset: number): number;
  /** Reads without holding up the calling thread. */
  read(into: Buffer, at: number, length: number, offset: number): Promise<number>;
  /** Writes all; returns normally only then. On failure `bytesWritten` of the file tells how far it came. */
  write(from: Buffer, at: number, length: number, offset: number): void;
  /** Writes the pieces one after the other. */
  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void;
  /** Writes all without holding up the calling thread; for copies in the background. */
  writeLater(from: Buffer, at: number, length: number, offset: number): Promise<void>;
  /** Bytes that the last `write` or `writeJoined` wrote, failed or not. */
  readonly bytesWritten: number;
  /** Frees the range; it reads as zeros and counts as not allocated. */
  punch(offset: number, length: number): void;
  /**
   * The range reads as zeros and counts as allocated, so that it hides what older layers hold there; as an unwritten extent
   * where the file system has them. Not for a head: see `replica/head-leftovers.ts`.
   */
  zero(offset: number, length: number): void;
  /**
   * Allocated ranges that touch [from, to), ascending, as start/end pairs in `into`; returns the number of pairs.
   * Fewer than fit means that there are no more. Unwritten extents count as allocated.
   */
  extents(from: number, to: number, into: Float64Array): number;
  /**
   * As `extents`, only those that have a place on the device and no content yet (unwritten extents), as far as the
   * file system tells; what was written and waits in the page cache may be among them until it is synced.
   */
  unwritten(from: number, to: number, into: Float64Array): number;
  statNow(): FileStat;
  truncate(sizeBytes: number): Promise<void>;
  /** Starts writing dirty pages to the device; does not promise that they are there. */
  startWriteback(): Promise<void>;
  /** Content and what is needed to read it are on stable storage. */
  sync(): Promise<void>;
  /** What is read from now on comes from the device, except what waits to be written to it. */
  dropCache(): Promise<void>;
  close(): Promise<void>;
}

/** Files of a folder's lock. */
export const LOCK_FILE = 'longhorn-replica.lock';
export const LOCK_REQUEST_FILE = `${LOCK_FILE}.wanted`;

/** Shared: with others that share it. */
export type LockKind = 'shared' | 'exclusive';

/** A lock on a folder; it also ends with the process. */
export interface FolderLock {
  release(): Promise<void>;
}

/** One folder of files. */
export interface Folder {
  /** for messages */
  readonly path: string;
  /**
   * Called at once when the sync of a data file fails, whoever asked for it: the kernel reports that once, takes the pages for clean and still
   * shows them, so that no later sync brings them to the device.
   */
  onSyncFailure: (reason: string) => void;
  list(): Promise<string[]>;
  /** null: no such file */
  stat(name: string): Promise<FileStat | null>;
  /** The whole content of a small file; null: no such file. Larger than `bytesMax`: DiskError EFBIG. */
  readSmall(name: string, bytesMax: number): Promise<Buffer | null>;
  /** Creates or truncates the file, writes the content and syncs the file. */
  writeSmall(name: string, content: Buffer): Promise<void>;
  /** A new file of this size without any data; what was there under this name is gone. */
  create(name: string, sizeBytes: number): Promise<DataFile>;
  open(name: string, access: 'read' | 'write'): Promise<DataFile>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  /** false: there was no such file */
  remove(name: string): Promise<boolean>;
  /** Names that were created, renamed or removed are on stable storage. */
  sync(): Promise<void>;
  /**
   * Locks the folder against other processes, or tells what the one that has it called itself (`holder`). `onRequest` is called when
   * LOCK_REQUEST_FILE is written while we have it.
   */
  lock(kind: LockKind, holder: string, onRequest: () => void): Promise<FolderLock | { heldBy: string }>;
}

/**
 * Replaces a small file so that a crash leaves the old or the new content, whole. Which of the two a loss of power leaves
 * is open until the folder is synced.
 */
export async function placeFile(folder: Folder, name: string, content: string): Promise<void> {
  await folder.writeSmall(`${name}.tmp`, Buffer.from(content, 'utf8'));
  await folder.rename(`${name}.tmp`, name);
}

/** As `placeFile`; done means on stable storage. */
export async function replaceFile(folder: Folder, name: string, content: string): Promise<void> {
  await placeFile(folder, name, content);
  await folder.sync();
}

/** `ENOSPC` and the like of anything thrown; "" when it is no failed system call. */
export function errnoCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
