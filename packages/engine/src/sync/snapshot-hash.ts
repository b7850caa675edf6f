/**
 * Hashes snapshots, one at a time on a node (a lock file that upstream's processes use too), and finds bit rot: a file whose
 * change time is that of its recorded checksum must still have that checksum.
 */
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DataFile, Folder } from '../io/disk.ts';
import { tryLock } from '../io/node/linux.ts';
import { rfc3339Seconds, type ReplicaClock } from '../io/replica-clock.ts';
import { HASH_JOBS_KEPT, HASH_LOCK_RETRY_MS, HASH_PIECE_BYTES } from '../limits.ts';
import { CHECKSUM_SUFFIX, snapshotFile, snapshotNameProblem } from '../replica/snapshot-chain.ts';
import { yieldToOthers } from '../replica/volume.ts';
import { changeTimeText, readChecksum, validChecksum, writeChecksum } from './checksum-file.ts';
import { Crc64 } from './crc64.ts';

export const HASH_METHOD = 'crc64';
const PAIRS = 256;

export interface HashStatus {
  readonly state: 'in_progress' | 'complete' | 'error';
  readonly checksum: string;
  readonly error: string;
  readonly isSilentlyCorrupted: boolean;
}

const RUNNING: HashStatus = { state: 'in_progress', checksum: '', error: '', isSilentlyCorrupted: false };

/** CRC-64 of a whole file, holes as zeros. */
export async function hashFile(file: DataFile, signal: AbortSignal): Promise<string> {
  const crc = new Crc64();
  const { sizeBytes } = file.statNow();
  const buffer = Buffer.allocUnsafeSlow(HASH_PIECE_BYTES);
  const pairs = new Float64Array(PAIRS * 2);
  let at = 0;
  for (let count = PAIRS; count === PAIRS && at < sizeBytes;) {
    count = file.extents(at, sizeBytes, pairs);
    for (let i = 0; i < count; i++) {
      const start = Math.max(pairs[i * 2] as number, at);
      const end = pairs[i * 2 + 1] as number;
      crc.zeros(start - at);
      for (let piece = start; piece < end; piece += HASH_PIECE_BYTES) {
        signal.throwIfAborted();
        const length = Math.min(HASH_PIECE_BYTES, end - piece);
        const got = await file.read(buffer, 0, length, piece);
        crc.update(buffer, got);
        crc.zeros(length - got);
        await yieldToOthers();
      }
      at = end;
    }
  }
  crc.zeros(sizeBytes - at);
  return crc.hex();
}

export class SnapshotHasher {
  private readonly folder: Folder;
  private readonly lockFile: string;
  private readonly clock: ReplicaClock;
  private readonly jobs = new Map<string, { status: HashStatus; cancel: AbortController }>();

  constructor(folder: Folder, lockFile: string, clock: ReplicaClock) {
    this.folder = folder;
    this.lockFile = lockFile;
    this.clock = clock;
  }

  /** Starts a job and returns at once; one that runs already goes on. */
  start(snapshot: string, isRehash: boolean): void {
    const problem = snapshot === '' ? 'snapshot name is required' : snapshotNameProblem(snapshot);
    if (problem !== null) throw new Error(problem);
    if (this.jobs.get(snapshot)?.status.state === 'in_progress') return;
    const cancel = new AbortController();
    const job = { status: RUNNING, cancel };
    this.jobs.delete(snapshot);
    this.jobs.set(snapshot, job);
    this.run(snapshot, isRehash, cancel.signal)
      .then(
        (status) => {
          job.status = status;
        },
        (error: unknown) => {
          const text = error instanceof Error ? error.message : String(error);
          job.status = { state: 'error', checksum: '', error: text, isSilentlyCorrupted: false };
        },
      )
      .finally(() => this.forgetOld());
  }

  private forgetOld(): void {
    for (const state of ['complete', 'error'] as const) {
      const names = [...this.jobs].filter(([, job]) => job.status.state === state).map(([name]) => name);
      for (const name of names.slice(0, Math.max(names.length - HASH_JOBS_KEPT, 0))) this.jobs.delete(name);
    }
  }

  cancel(snapshot: string): void {
    this.jobs.get(snapshot)?.cancel.abort(new Error(`hashing snapshot ${snapshot} was canceled`));
  }

  async status(snapshot: string): Promise<HashStatus> {
    const job = this.jobs.get(snapshot);
    if (job !== undefined) return job.status;
    const problem = snapshotNameProblem(snapshot);
    if (problem !== null) throw new Error(problem);
    const record = await validChecksum(this.folder, snapshotFile(snapshot));
    if (record === null) {
      return { ...RUNNING, state: 'error', error: `snapshot ${snapshot} has no valid checksum: hash it first` };
    }
    return {
      state: 'complete',
      checksum: record.checksum,
      error: '',
      isSilentlyCorrupted: record.isSilentlyCorrupted,
    };
  }

  /** Forgets finished jobs and cancels running ones. */
  reset(): void {
    for (const name of this.jobs.keys()) this.cancel(name);
    this.jobs.clear();
  }

  private async openLock(): Promise<FileHandle> {
    await mkdir(dirname(this.lockFile), { recursive: true, mode: 0o755 });
    return open(this.lockFile, 'a');
  }

  /** Whether somebody on this node holds the lock. */
  async isLocked(): Promise<boolean> {
    const handle = await this.openLock();
    try {
      return !tryLock(handle.fd);
    } finally {
      await handle.close();
    }
  }

  private async run(snapshot: string, isRehash: boolean, signal: AbortSignal): Promise<HashStatus> {
    const lock = await this.openLock();
    try {
      while (!tryLock(lock.fd)) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => this.clock.after(HASH_LOCK_RETRY_MS, resolve));
      }
      return await this.hash(snapshot, isRehash, signal);
    } finally {
      await lock.close();
    }
  }

  private async hash(snapshot: string, isRehash: boolean, signal: AbortSignal): Promise<HashStatus> {
    const image = snapshotFile(snapshot);
    const before = await validChecksum(this.folder, image);
    const done = (checksum: string, isSilentlyCorrupted: boolean): HashStatus => ({
      state: 'complete',
      checksum,
      error: '',
      isSilentlyCorrupted,
    });
    if (before?.isSilentlyCorrupted === true) return done('', true);
    if (!isRehash && before !== null && before.checksum !== '') return done(before.checksum, false);
    const file = await this.folder.open(image, 'read');
    try {
      const changeTime = changeTimeText(file.statNow().changedNs);
      const checksum = await hashFile(file, signal);
      if (changeTimeText(file.statNow().changedNs) !== changeTime) {
        await this.folder.remove(`${image}${CHECKSUM_SUFFIX}`);
        throw new Error(`snapshot ${snapshot} modification time is changed`);
      }
      const recorded = await readChecksum(this.folder, image);
      const isRotten = recorded !== null && recorded.changeTime === changeTime && recorded.checksum !== checksum;
      if (isRotten && recorded.checksum !== '') {
        await writeChecksum(this.folder, image, { ...recorded, isSilentlyCorrupted: true });
        return done('', true);
      }
      const lastHashedAt = rfc3339Seconds(this.clock.now());
      const record = { method: HASH_METHOD, checksum, changeTime, lastHashedAt, isSilentlyCorrupted: false };
      await writeChecksum(this.folder, image, record);
      return done(checksum, false);
    } finally {
      await file.close();
    }
  }
}
