/** Block devices of this node that an earlier life of its processes may have left. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { runCommand } from './command.ts';
import { readMounts } from './mounts.ts';

/** Volumes that have a device record below `runFolder`: the devices that are this node's. */
export function recordedVolumes(runFolder: string): string[] {
  const folder = join(runFolder, 'devices');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => file.slice(0, -'.json'.length));
}

/** Whether the run folder records a device of the volume: a block device, or an NBD socket or iSCSI port that clients connect to again. */
export function hasDeviceRecord(runFolder: string, volume: string): boolean {
  // A volume's name comes from arguments: it must not lead out of the folder.
  if (volume.includes('/')) return false;
  if (existsSync(join(runFolder, 'devices', `${volume}.json`))) return true;
  if (existsSync(join(runFolder, 'iscsi', `${volume}.port`))) return true;
  const sockets = join(runFolder, 'nbd');
  return existsSync(sockets) && readdirSync(sockets).some((file) => /^(.+)@\d+\.sock$/.exec(file)?.[1] === volume);
}

/** Engine binaries installed below `folders`: `<folder>/<image>/longhorn`. */
export function installedBinaries(folders: readonly string[]): string[] {
  return folders.flatMap((folder) =>
    existsSync(folder)
      ? readdirSync(folder)
          .map((image) => join(folder, image, 'longhorn'))
          .filter((binary) => existsSync(binary))
      : [],
  );
}

interface StartOptions {
  readonly runFolder: string;
  readonly binaryFolders: readonly string[];
  /** not "" in a pod: then all Longhorn devices of the host are this node's */
  readonly hostRoot: string;
  readonly env: NodeJS.ProcessEnv;
  readonly logger: { info(text: string): void; error(text: string): void };
}

/**
 * Thaws file systems that a dead process left frozen during a snapshot, then removes devices whose engines and holders are
 * gone. Best effort: a device that stays is reported, and its volume's next engine meets it.
 */
export async function recoverDevices({ runFolder, binaryFolders, hostRoot, env, logger }: StartOptions): Promise<void> {
  const recorded = recordedVolumes(runFolder);
  const own = new Set(recorded.map((volume) => `/dev/longhorn/${volume}`));
  for (const { device, path } of readMounts()) {
    if (!own.has(device) && !(hostRoot !== '' && device.includes('/dev/longhorn/'))) continue;
    // Not frozen is the normal case and an error of fsfreeze.
    await runCommand('fsfreeze', ['--unfreeze', path]).then(
      () => logger.info(`thawed ${path}`),
      () => undefined,
    );
  }
  if (recorded.length === 0) return;
  for (const binary of installedBinaries(binaryFolders)) {
    try {
      await runCommand(binary, ['frontend', 'cleanup', '--all'], { env });
      return;
    } catch (error) {
      // Upstream's binary does not know the command; another image's may.
      logger.error(`left devices are not removed by ${binary}: ${errorText(error)}`);
    }
  }
}
