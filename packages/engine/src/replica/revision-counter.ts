/**
 * `revision.counter`: number of writes and unmaps, decimal text in a block of 4096 bytes. Written before the answers
 * of the writes that it counts are sent, so it never falls behind what was acknowledged.
 */
import { replaceFile, type DataFile, type Folder } from '../io/disk.ts';
import { BLOCK_BYTES } from '../limits.ts';
import { MalformedFileError } from './metadata.ts';

export const REVISION_FILE = 'revision.counter';

export class RevisionCounter {
  private readonly file: DataFile;
  private readonly block = Buffer.alloc(BLOCK_BYTES);
  private stored: number;
  /** Bytes at the start of the file that may be other than zero. */
  private digits = BLOCK_BYTES;
  value: number;

  private constructor(file: DataFile, value: number) {
    this.file = file;
    this.value = value;
    this.stored = value;
  }

  static async open(folder: Folder): Promise<RevisionCounter> {
    // An empty one is what a crash left of one that was being made.
    const found = await folder.stat(REVISION_FILE);
    if (found === null || found.sizeBytes === 0) {
      await replaceFile(folder, REVISION_FILE, '0'.padEnd(BLOCK_BYTES, '\0'));
    }
    const file = await folder.open(REVISION_FILE, 'write');
    const block = Buffer.alloc(BLOCK_BYTES);
    const length = file.readSync(block, 0, BLOCK_BYTES, 0);
    const text = block.toString('latin1', 0, length).replace(/\0+$/, '').trim();
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) {
      await file.close();
      throw new MalformedFileError(
        `${folder.path}/${REVISION_FILE}`,
        'holds no number',
        'nothing was changed: remove this replica so that it is rebuilt, or write a decimal number into the file',
      );
    }
    return new RevisionCounter(file, Number(text));
  }

  /** Writes the counter if it has changed. */
  store(): void {
    if (this.value === this.stored) return;
    // The first store writes the whole block, later ones the digits.
    const length = this.block.write(String(this.value), 'latin1');
    this.block.fill(0, length, this.digits);
    this.file.write(this.block, 0, Math.max(length, this.digits), 0);
    this.digits = length;
    this.stored = this.value;
  }

  async close(): Promise<void> {
    this.store();
    await this.file.sync();
    await this.file.close();
  }
}
