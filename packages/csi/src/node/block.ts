/** A volume as a raw block device: its device file bound to files at the staging and target paths. */
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { MOUNT_TIMEOUT_MS } from '../limits.ts';
import { ensureFile, ensureFolder, kindOf, unmountAll } from './mount-point.ts';
import { canonicalPath, mountAt, readMounts } from './mount-table.ts';
import { runOrThrow, type NodeHost } from './node-host.ts';

/** The file below the staging path that stands for the device. */
export function stagedFile(stagingPath: string, volume: string): string {
  return join(stagingPath, volume);
}

/** Binds `device` to a file; what is bound already stays, one of an earlier device is replaced. */
export async function bindDevice(host: NodeHost, device: string, file: string, field: string): Promise<void> {
  const number = await host.deviceNumber(device);
  if (number === null) throw rpcError(Code.FailedPrecondition, `device ${device} is not there`);
  if ((await mountAt(host, file)) !== null) {
    if ((await host.deviceNumber(file)) === number) return;
    await unmountAll(host, file);
  }
  await ensureFolder(dirname(file), field);
  const existed = (await kindOf(file)) !== 'nothing';
  await ensureFile(file, field);
  try {
    await runOrThrow(host, 'mount', ['-o', 'bind', device, file], MOUNT_TIMEOUT_MS);
  } catch (error) {
    if (!existed) await rm(file, { force: true });
    throw error;
  }
}

/** Throws when another file than the staged one and the target has the device: its access mode is for one pod only. */
export async function checkAloneAsDevice(
  host: NodeHost,
  paths: { volume: string; device: string; staged: string; targetPath: string },
): Promise<void> {
  const { volume, device, staged, targetPath } = paths;
  const number = await host.deviceNumber(device);
  // Its pod has it: the kubelet, which asks again when it was restarted, has bound further paths of the pod to it.
  if ((await mountAt(host, targetPath)) !== null && (await host.deviceNumber(targetPath)) === number) return;
  const stagedPath = await canonicalPath(staged);
  for (const { path, root } of await readMounts(host)) {
    // Mounts of device files: what is seen is one file of /dev.
    if (!root.endsWith(`/${volume}`) || path === stagedPath) continue;
    if ((await host.deviceNumber(path)) === number) {
      throw rpcError(
        Code.FailedPrecondition,
        `volume ${volume} is published at ${path} already, and its access mode is for one pod only`,
      );
    }
  }
}
