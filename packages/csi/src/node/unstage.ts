/** NodeUnstageVolume: success means that all that pods have written is on the device, so that the volume may leave the node. */
import { join } from 'node:path';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { waitUntil, type CallScope } from '../call/scope.ts';
import { STATE_TIMEOUT_MS, WRITE_BACK_PATIENCE_MS } from '../limits.ts';
import { stagedFile } from './block.ts';
import { kindOf, removeMountPoint, unmountAll } from './mount-point.ts';
import { readMounts } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';

/** Where engines put the devices of volumes. */
const DEVICE_FOLDER = '/dev/longhorn';

/**
 * Waits until no file system has the device any more that the mount table does not show: one that is written back goes
 * from the table at once, and a plugin that was started anew does not know of the umount that is at it. Aborted when it
 * takes longer.
 */
async function whenWrittenBack(host: NodeHost, volume: string, scope: CallScope): Promise<void> {
  const device = join(DEVICE_FOLDER, volume);
  await waitUntil(scope, STATE_TIMEOUT_MS, `volume ${volume} cannot be unstaged`, async (elapsedMs) => {
    const number = await host.deviceNumber(device);
    const isShown = (await readMounts(host)).some((mount) => mount.device === number);
    if (number === null || isShown || !(await host.isHeld(device))) return { done: true, value: null };
    if (elapsedMs < WRITE_BACK_PATIENCE_MS) return { done: false, waitingFor: `${device} is still held` };
    throw rpcError(
      Code.Aborted,
      `${device} is unmounted but still held: its data is being written back, or another container has it mounted; try again`,
    );
  });
}

/** Unmounts the volume; one that is not staged is done already. */
export async function unstage(
  host: NodeHost,
  { volume, stagingPath }: { volume: string; stagingPath: string },
  scope: CallScope,
): Promise<void> {
  await unmountAll(host, stagingPath);
  const file = stagedFile(stagingPath, volume);
  // A raw device has no file system of ours; what others have made on it may hold it for good.
  const isRaw = (await kindOf(file)) !== 'nothing';
  await removeMountPoint(host, file);
  if (!isRaw) await whenWrittenBack(host, volume, scope);
}
