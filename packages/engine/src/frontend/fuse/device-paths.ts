/**
 * The files of one volume's device on a node, all from one checked function.
 *
 *     <run dir>/devices/<volume>.json      what exists: holder, loop device, node (device-record.ts)
 *     <run dir>/devices/<volume>.lock      locked by the engine that serves the device, and by a cleaner
 *     <run dir>/devices/<volume>.backing   mount point while the device is being made; detached afterwards
 *     /dev/longhorn/<volume>               what users open
 */
import { mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { VOLUME_NAME_CHARS_MAX } from './limits.ts';

export const DEVICE_DIRECTORY = '/dev/longhorn';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export interface DevicePaths {
  directory: string;
  record: string;
  lock: string;
  backing: string;
  node: string;
}

/** Whether a name can be a volume's: one path component without surprises. */
export const isVolumeName = (name: string): boolean => name.length <= VOLUME_NAME_CHARS_MAX && NAME.test(name);

/** `<run dir>/devices`, made if missing, without symbolic links (/var/run is one): as the kernel's lists show it. */
export const devicesDirectory = (runDir: string): string => {
  const directory = join(runDir, 'devices');
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  return realpathSync(directory);
};

export const devicePaths = (
  volumeName: string,
  runDir: string,
  nodeDirectory: string = DEVICE_DIRECTORY,
): DevicePaths => {
  if (!isVolumeName(volumeName)) {
    throw new Error(
      `volume name ${JSON.stringify(volumeName)} cannot be used for a device: use letters, digits, ".", "_", "-", at most ${VOLUME_NAME_CHARS_MAX}`,
    );
  }
  const directory = devicesDirectory(runDir);
  return {
    directory,
    record: join(directory, `${volumeName}.json`),
    lock: join(directory, `${volumeName}.lock`),
    backing: join(directory, `${volumeName}.backing`),
    node: join(nodeDirectory, volumeName),
  };
};
