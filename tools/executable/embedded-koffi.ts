/**
 * Stands in for the package `koffi` in a single executable: the native module comes from the executable itself. A module
 * can only be loaded from a file, so it is one in a private folder for the moment of loading.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { getRawAsset } from 'node:sea';
import type koffi from 'koffi';

/** Folders that may hold an executable mapping, the usual one first: `/tmp` may be mounted noexec or read-only. */
const FOLDERS = [tmpdir(), '/var/run', '/dev'];

function load(): typeof koffi {
  const code = new Uint8Array(getRawAsset('koffi.node'));
  const failures: unknown[] = [];
  for (const parent of FOLDERS) {
    let folder: string | null = null;
    try {
      folder = mkdtempSync(join(parent, '.longhorn-'));
      const path = join(folder, 'koffi.node');
      writeFileSync(path, code, { mode: 0o700 });
      const module: { exports: { default?: typeof koffi } & Partial<typeof koffi> } = { exports: {} };
      process.dlopen(module, path, constants.dlopen.RTLD_NOW);
      return module.exports as typeof koffi;
    } catch (error) {
      failures.push(error);
    } finally {
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    }
  }
  throw new AggregateError(failures, `koffi can be loaded from none of ${FOLDERS.join(', ')}: make /tmp writable`);
}

const native = load();
export default native;
