/** Sockets of replicas that ended without removing them: by SIGKILL, or with the instance manager that ran them. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { dataSocketFolder, dataSocketPath } from '@longhorn/engine/client';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { isDeadSocket } from '@longhorn/shared-types/node/unix-socket';

interface Log {
  error(text: string): void;
}

/** What a replica has left that is gone. */
export function removeDataSocket(runFolder: string, name: string, log: Log): void {
  try {
    rmSync(dataSocketPath(runFolder, name), { force: true });
  } catch (error) {
    log.error(`the socket of ${name} stays: ${errorText(error)}`);
  }
}

/** Removes those that nobody listens on: others on this node may run replicas, too. */
export async function removeDeadSockets(runFolder: string, log: Log): Promise<void> {
  const folder = dataSocketFolder(runFolder);
  if (!existsSync(folder)) return;
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.sock'))) {
    const path = join(folder, file);
    try {
      if (await isDeadSocket(path)) rmSync(path, { force: true });
    } catch (error) {
      log.error(`the socket ${path} stays: ${errorText(error)}`);
    }
  }
}
