/** What every process of a node reads from its environment. */
import { join } from 'node:path';

export interface NodeEnvironment {
  readonly podIp: string;
  readonly hostRoot: string;
  readonly runFolder: string;
  readonly logsFolder: string;
  /** folders below which engine binaries are */
  readonly binaryFolders: readonly string[];
}

export function nodeEnvironment(env: NodeJS.ProcessEnv): NodeEnvironment {
  const hostRoot = env['LONGHORN_HOST_ROOT'] ?? '/host';
  const dataRoot = env['LONGHORN_DATA_ROOT'] ?? '/var/lib/longhorn';
  return {
    podIp: env['POD_IP'] ?? '',
    hostRoot,
    runFolder: env['LONGHORN_RUN_DIR'] ?? '/var/run/longhorn',
    logsFolder: env['LONGHORN_LOGS_DIR'] ?? '/var/log/instances',
    binaryFolders: [
      env['LONGHORN_ENGINE_BINARIES_DIR'] ?? '/engine-binaries',
      join(`${hostRoot}${dataRoot}`, 'engine-binaries'),
    ],
  };
}
