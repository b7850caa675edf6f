/**
 * One replica process at a time has a folder open. The lock is the process's, and ends with it.
 *
 * - An engine with an epoch has its replica's folder alone. When its replica process is a new one (restarted, or of a live upgrade),
 *   the process that still has the folder open syncs, closes and lets go: by the rules by which it would let go of it
 *   if it were opened itself, a higher epoch, or the same epoch and engine.
 * - An open without an epoch (upstream's engines, maintenance) shares the folder with other such opens, as upstream's
 *   live upgrade needs, never with an engine that has an epoch.
 */
import assert from 'node:assert/strict';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { LOCK_REQUEST_FILE, type Folder, type FolderLock, type LockKind } from '../io/disk.ts';
import type { ReplicaClock } from '../io/replica-clock.ts';
import { FOLDER_CLAIM_RETRY_MS, FOLDER_CLAIM_TRIES, META_FILE_BYTES_MAX } from '../limits.ts';

/** For whom a folder is opened. */
export interface Claimant {
  readonly epoch: number;
  readonly engineName: string;
}

export interface ClaimOptions {
  readonly folder: Folder;
  readonly clock: ReplicaClock;
  /** who we are, for the one who finds the folder taken */
  readonly holder: string;
  /** another process wants the folder */
  readonly onRequest: () => void;
}

/** What this process has of a folder: nothing, or its lock. */
export class FolderClaim {
  private readonly options: ClaimOptions;
  private lock: FolderLock | null = null;

  constructor(options: ClaimOptions) {
    this.options = options;
  }

  get isHeld(): boolean {
    return this.lock !== null;
  }

  /** Takes the folder; waits for its holder to let go, which a claimant makes it do, and rejects when it does not. */
  async take(kind: LockKind, claimant: Claimant | null): Promise<void> {
    const { folder, clock } = this.options;
    for (let tries = 1; ; tries++) {
      const heldBy = await this.tryOnce(kind);
      if (heldBy === null) return;
      if (tries === FOLDER_CLAIM_TRIES) throw heldError(folder, heldBy);
      // Each time anew: the holder may not have been listening yet.
      if (claimant !== null) await folder.writeSmall(LOCK_REQUEST_FILE, Buffer.from(JSON.stringify(claimant)));
      await new Promise<void>((resolve) => clock.after(FOLDER_CLAIM_RETRY_MS, resolve));
    }
  }

  /** Takes the folder if it is free: null; else what its holder is called. */
  async tryOnce(kind: LockKind): Promise<string | null> {
    assert(this.lock === null, 'a folder is claimed once');
    const { folder, holder, onRequest } = this.options;
    const lock = await folder.lock(kind, holder, onRequest);
    if ('heldBy' in lock) return lock.heldBy;
    this.lock = lock;
    return null;
  }

  async drop(): Promise<void> {
    const { lock } = this;
    this.lock = null;
    await lock?.release();
  }
}

function heldError(folder: Folder, heldBy: string): Error {
  const who = heldBy === '' ? 'another replica process' : heldBy;
  return rpcError(
    Code.FailedPrecondition,
    `${folder.path} is in use by ${who}: stop that process (the folder is free as soon as it has ended), or close its replica`,
  );
}

/** What the newest request says; null: none that can be understood. */
export async function readRequest(folder: Folder): Promise<Claimant | null> {
  const text = await folder.readSmall(LOCK_REQUEST_FILE, META_FILE_BYTES_MAX);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text.toString('utf8'));
  } catch {
    // Being written: its writer tries again.
    return null;
  }
  if (typeof value !== 'object' || value === null || !('epoch' in value) || !('engineName' in value)) return null;
  const { epoch, engineName } = value;
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || typeof engineName !== 'string') return null;
  return { epoch, engineName };
}

/** Whether the replica of `holder` gives way to a claim. */
export function givesWay(holder: Claimant, claimant: Claimant): boolean {
  if (claimant.epoch !== holder.epoch) return claimant.epoch > holder.epoch;
  return claimant.epoch > 0 && claimant.engineName === holder.engineName;
}
