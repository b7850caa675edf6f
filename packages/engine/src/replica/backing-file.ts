/** The backing file under a replica's oldest layer: raw or qcow2, read only. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { openDataFile } from '../io/node/node-folder.ts';
import type { DataFile } from '../io/disk.ts';
import { SECTOR_BYTES } from '../limits.ts';
import { QCOW2_MAGIC } from './qcow2-header.ts';
import { Qcow2File } from './qcow2-file.ts';
import type { Layer } from './volume.ts';

async function resolveFile(path: string): Promise<string> {
  if (!(await stat(path)).isDirectory()) return path;
  const [name, ...others] = await readdir(path);
  if (name === undefined || others.length > 0) {
    throw new Error(`--backing-file ${path}: the directory must contain exactly one file`);
  }
  return join(path, name);
}

/** The guest's bytes: the file itself, or what a qcow2 image holds. */
async function openImage(path: string): Promise<DataFile> {
  const file = await openDataFile(path, path, 'read');
  try {
    const magic = Buffer.alloc(4);
    const length = file.readSync(magic, 0, 4, 0);
    return length === 4 && magic.readUInt32BE() === QCOW2_MAGIC ? await Qcow2File.open(file) : file;
  } catch (error) {
    await file.close();
    throw new Error(`backing file ${path}: ${errorText(error)}`, { cause: error });
  }
}

/** Checks the file and says how to open it; null when there is none. */
export async function backingLayer(
  given: string,
  replicaSizeBytes: number | null,
): Promise<{ path: string; open: () => Promise<Layer> } | null> {
  if (given === '') return null;
  const path = await resolveFile(given);
  const open = async (): Promise<Layer> => {
    const file = await openImage(path);
    return { name: path, file, sizeBytes: file.statNow().sizeBytes, isBacking: true };
  };
  const { file, sizeBytes } = await open();
  try {
    if (sizeBytes % SECTOR_BYTES !== 0) {
      throw new Error(`backing file ${path}: size ${sizeBytes} is not a multiple of ${SECTOR_BYTES}`);
    }
    if (replicaSizeBytes !== null && replicaSizeBytes < sizeBytes) {
      throw new Error(`replica size ${replicaSizeBytes} < backing image virtual size ${sizeBytes}`);
    }
  } finally {
    await file.close();
  }
  return { path, open };
}
