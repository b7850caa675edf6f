/**
 * The unix socket of a device that is served as NBD: `nbd/<volume>@<epoch>.sock`, by the epoch that it was made in.
 *
 *     engine dies, next one takes over      same path: clients connect again and go on
 *     orderly end (detached)                the path is removed
 *     attached anew, whoever asked for it   another path: a client of before finds nothing, and so learns that its device,
 *                                           and what it had cached, is gone
 *
 * A path that is there before an engine made one means that clients go on with this engine. The run directory is empty
 * after a start of the node.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Names of volumes have no `@`. */
const SESSION = /^([^@]+)@\d+\.sock$/;

/** Volume of a file in the folder `nbd`; null: it is no socket of a volume. */
export function volumeOfNbdSocket(file: string): string | null {
  return SESSION.exec(file)?.[1] ?? null;
}

/** The socket that an engine before us left without an orderly end, the newest if there are several; null = none. */
export function nbdSessionLeft(volumeName: string, runDir: string): string | null {
  const folder = join(runDir, 'nbd');
  if (!existsSync(folder)) return null;
  const paths = readdirSync(folder)
    .filter((file) => volumeOfNbdSocket(file) === volumeName)
    .map((file) => join(folder, file));
  const made = (path: string): number => statSync(path, { throwIfNoEntry: false })?.ctimeMs ?? 0;
  return paths.toSorted((a, b) => made(b) - made(a))[0] ?? null;
}

export function newNbdSession(volumeName: string, runDir: string, epoch: number): string {
  return join(runDir, 'nbd', `${volumeName}@${epoch}.sock`);
}
