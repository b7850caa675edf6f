/** Disk file names of a replica and the snapshot names in them. */

/** Name under which the head appears among snapshots. */
export const VOLUME_HEAD = 'volume-head';

const HEAD_FILE = /^volume-head-\d+\.img$/;
const SNAPSHOT_FILE = /^volume-snap-(.+)\.img$/;

/** `volume-snap-X.img` -> `X`, `volume-head-003.img` -> `volume-head`; null for other files (the backing file). */
export function snapshotNameOf(disk: string): string | null {
  if (HEAD_FILE.test(disk)) return VOLUME_HEAD;
  return SNAPSHOT_FILE.exec(disk)?.[1] ?? null;
}

/** `X` -> `volume-snap-X.img`. */
export function snapshotDisk(snapshot: string): string {
  return `volume-snap-${snapshot}.img`;
}

/** Whether a file belongs to the head, which is written all the time. */
export function isHeadFile(file: string): boolean {
  return file.startsWith('volume-head');
}
