/** `volume-snap-*.img.checksum`: the hash of a snapshot and the change time of the file that it belongs to. */
import { replaceFile, type Folder } from '../io/disk.ts';
import { META_FILE_BYTES_MAX } from '../limits.ts';
import { CHECKSUM_SUFFIX } from '../replica/snapshot-chain.ts';

export interface ChecksumRecord {
  readonly method: string;
  readonly checksum: string;
  /** as `changeTimeText` writes it; compared as text */
  readonly changeTime: string;
  readonly lastHashedAt: string;
  readonly isSilentlyCorrupted: boolean;
}

/** `2025-11-12 01:29:05.12345 +0000 UTC`: upstream's text of a change time, trailing zeros cut. */
export function changeTimeText(changedNs: bigint): string {
  const seconds = new Date(Number(changedNs / 1_000_000n));
  const [day, clock] = seconds.toISOString().slice(0, 19).split('T');
  const fraction = (changedNs % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${day} ${clock}${fraction === '' ? '' : `.${fraction}`} +0000 UTC`;
}

/** The record beside an image; null: none, or one that cannot be read (it is only a shortcut). */
export async function readChecksum(folder: Folder, image: string): Promise<ChecksumRecord | null> {
  const content = await folder.readSmall(`${image}${CHECKSUM_SUFFIX}`, META_FILE_BYTES_MAX);
  if (content === null) return null;
  try {
    const fields = JSON.parse(content.toString('utf8')) as Record<string, unknown>;
    const text = (key: string): string => (typeof fields[key] === 'string' ? fields[key] : '');
    return {
      method: text('method'),
      checksum: text('checksum'),
      changeTime: text('change_time'),
      lastHashedAt: text('last_hashed_at'),
      isSilentlyCorrupted: fields['silently_corrupted'] === true,
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

/** The record, if the image has not changed since. */
export async function validChecksum(folder: Folder, image: string): Promise<ChecksumRecord | null> {
  const record = await readChecksum(folder, image);
  const found = await folder.stat(image);
  if (record === null || found === null) return null;
  return record.changeTime === changeTimeText(found.changedNs) ? record : null;
}

export async function writeChecksum(folder: Folder, image: string, record: ChecksumRecord): Promise<void> {
  const content = JSON.stringify({
    method: record.method,
    checksum: record.checksum,
    change_time: record.changeTime,
    last_hashed_at: record.lastHashedAt,
    silently_corrupted: record.isSilentlyCorrupted,
  });
  await replaceFile(folder, `${image}${CHECKSUM_SUFFIX}`, `${content}\n`);
}
