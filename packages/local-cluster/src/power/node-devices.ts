/**
 * Block devices that a node without power leaves in the machine's kernel: FUSE sessions and loop devices below its run
 * folder, device nodes and file systems on them. Only what belongs to that folder is touched.
 */
import { lstatSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isWithin, readMountTable, type MountEntry } from './mount-table.ts';
import { ProgramError, runProgram } from './run-program.ts';

const DEVICE_FOLDER = '/dev/longhorn';

interface Loop {
  /** /dev/loopN */
  path: string;
  /** what it is made of; the kernel adds ` (deleted)` once that is unlinked */
  backing: string;
}

async function loopsBelow(folder: string): Promise<Loop[]> {
  const list = await runProgram('losetup', ['-l', '-n', '-O', 'NAME,BACK-FILE']);
  return list.split('\n').flatMap((line) => {
    const [path, ...rest] = line.trim().split(/\s+/);
    const backing = rest.join(' ').replace(/ \(deleted\)$/, '');
    return path !== undefined && path !== '' && isWithin(backing, folder) ? [{ path, backing }] : [];
  });
}

/** Answers everything that waits in a FUSE session with an error, for good. */
function abortFuse({ device }: MountEntry): void {
  const minor = device.split(':')[1] ?? '';
  try {
    writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

/** Major and minor of device nodes, as the kernel packs them into st_rdev. */
function rdevOf(path: string): number | null {
  try {
    const stat = lstatSync(path);
    return stat.isBlockDevice() ? stat.rdev : null;
  } catch {
    return null; // gone in the meantime
  }
}

function deviceNodesOf(loops: Loop[]): string[] {
  const rdevs = new Set(loops.map(({ path }) => rdevOf(path)));
  let names: string[] = [];
  try {
    names = readdirSync(DEVICE_FOLDER);
  } catch {
    return []; // no volume was ever attached here
  }
  return names
    .map((name) => join(DEVICE_FOLDER, name))
    .filter((path) => {
      const rdev = rdevOf(path);
      return rdev !== null && rdevs.has(rdev);
    });
}

/** Lazily, because what is still open on it gets errors from now on and closes when it likes. */
async function unmountLazily(mountPoint: string): Promise<void> {
  try {
    await runProgram('umount', ['-l', mountPoint]);
  } catch (error) {
    if (!(error instanceof ProgramError && /not mounted|not found/.test(error.message))) throw error;
  }
}

/** Takes down every device below `runFolder`. Call it after the node's processes have ended. */
export async function tearDownNodeDevices(runFolder: string): Promise<void> {
  const loops = await loopsBelow(runFolder);
  const nodes = deviceNodesOf(loops);
  const sources = new Set([...nodes, ...loops.map(({ path }) => path)]);
  const table = readMountTable();
  const fuse = table.filter(
    ({ mountPoint, fileSystem }) => fileSystem.startsWith('fuse') && isWithin(mountPoint, runFolder),
  );
  for (const mount of fuse) abortFuse(mount);
  for (const { mountPoint } of table.filter(({ source }) => sources.has(source)).reverse())
    await unmountLazily(mountPoint);
  for (const { path } of loops) {
    await runProgram('losetup', ['-d', path]).catch((error: unknown) => {
      if (!(error instanceof ProgramError && /No such device/.test(error.message))) throw error;
    });
  }
  for (const { mountPoint } of fuse) await unmountLazily(mountPoint);
  for (const path of nodes) rmSync(path, { force: true });
}
