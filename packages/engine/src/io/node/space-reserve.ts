/**
 * A little space that a replica's folder keeps for its own metadata, so that a full disk stops new data and nothing else:
 * membership records, epochs and `volume.meta` are replaced by writing a second file first, which wants a block.
 *
 * The file's blocks are given back to the file system when a metadata write meets a full disk, and taken again once that is
 * done. Others that write to the same disk may be faster; then the write fails as it would have without a reserve.
 */
import { constants } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOCK_BYTES, SPACE_RESERVE_BYTES } from '../../limits.ts';
import { RESERVE_FILE, errnoCode } from '../disk.ts';
import { allocate } from './linux.ts';

const NO_SPACE = ['ENOSPC', 'EDQUOT'];

export function isNoSpace(error: unknown): boolean {
  return NO_SPACE.includes(errnoCode(error));
}

export class SpaceReserve {
  private readonly path: string;
  private isWhole = false;

  constructor(folder: string) {
    this.path = join(folder, RESERVE_FILE);
  }

  /** Takes as much of the reserve as the disk has; a file system that cannot allocate has none. */
  async fill(): Promise<void> {
    if (this.isWhole) return;
    // Always there, if empty: whoever looks learns that the reserve is short.
    const handle = await open(this.path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      for (let bytes = SPACE_RESERVE_BYTES; bytes >= BLOCK_BYTES; bytes /= 2) {
        const errno = await allocate(handle.fd, bytes);
        if (errno === 0) {
          this.isWhole = bytes === SPACE_RESERVE_BYTES;
          return;
        }
      }
    } finally {
      await handle.close();
    }
  }

  /** Runs `write`, once more without the reserve if the disk is full. */
  async lend<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (!isNoSpace(error) || !(await this.release())) throw error;
      return write();
    }
  }

  private async release(): Promise<boolean> {
    this.isWhole = false;
    try {
      await unlink(this.path);
      return true;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false;
      throw error;
    }
  }
}
