/**
 * An engine image on a node: its program in `engine-binaries/<image>/`, where instance managers look for it.
 *
 * Files are replaced one by one through a rename and synced, so that whoever starts the program meanwhile, or after a
 * power-cut, finds a whole one.
 */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { canonicalImage } from './image-map.ts';

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sameContent(left: string, right: string): Promise<boolean> {
  return existsSync(right) && (await readFile(left)).equals(await readFile(right));
}

/** The nearest node_modules above a folder that has the engine's native module, which is not part of the bundle. */
function modulesAbove(folder: string): string | null {
  for (let at = folder; ; at = dirname(at)) {
    const modules = join(at, 'node_modules');
    if (existsSync(join(modules, 'koffi'))) return modules;
    if (dirname(at) === at) return null;
  }
}

async function linkModules(from: string, folder: string): Promise<void> {
  const modules = modulesAbove(from);
  const link = join(folder, 'node_modules');
  if (modules === null) return;
  if (lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true && readlinkSync(link) === modules) return;
  const temporary = `${link}.new`;
  await rm(temporary, { force: true });
  await symlink(modules, temporary);
  await rename(temporary, link);
}

/** Folder of an image's program. */
export const engineFolder = (binaries: string, image: string): string => join(binaries, canonicalImage(image));

/** Puts an image's program in place. `executable`: the built one, with its bundle beside it. */
export async function placeEngine(executable: string, binaries: string, image: string): Promise<void> {
  if (!existsSync(executable)) throw new Error(`${executable} is not there; run "npm run build"`);
  const folder = engineFolder(binaries, image);
  const from = dirname(executable);
  await mkdir(folder, { recursive: true });
  const names = (await readdir(from, { withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);
  // The executable last: while it is missing the image is not there.
  names.sort((a, b) => Number(join(from, a) === executable) - Number(join(from, b) === executable));
  await linkModules(from, folder);
  for (const name of names) {
    if (await sameContent(join(from, name), join(folder, name))) continue;
    const temporary = join(folder, `.${name}.new`);
    await copyFile(join(from, name), temporary);
    await sync(temporary);
    await rename(temporary, join(folder, name));
  }
  await sync(folder);
  await sync(binaries);
}

/** Takes an image's program away. Processes that run it keep it. */
export async function removeEngine(binaries: string, image: string): Promise<void> {
  await rm(engineFolder(binaries, image), { recursive: true, force: true });
}
