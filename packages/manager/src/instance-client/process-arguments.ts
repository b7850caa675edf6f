/** Binaries, arguments and folders of engine and replica processes: one place, by upstream's command line and ours. */
import { posix } from 'node:path';
import { canonicalImageName, type Engine, type Replica } from '@longhorn/shared-types';

/** Environment of the processes on a node, as far as it decides paths. */
export interface NodePaths {
  /** Prefix of the host's file system; '' without containers. */
  hostRoot: string;
  /** Folder of the engine binaries as instance managers see it. */
  engineBinariesDir: string;
}

export interface EngineArguments {
  engineReplicaTimeoutS: number;
  fileSyncTimeoutS: number;
  ioHoldTimeoutS: number;
  blockdevDriver: string;
  iscsiAuthentication: string;
}

/** Frontend of a volume's spec as the engine calls it. */
export function engineFrontend(frontend: string): string {
  if (frontend === 'blockdev') return 'tgt-blockdev';
  return frontend === 'iscsi' ? 'tgt-iscsi' : frontend;
}

export function binaryPath(paths: NodePaths, image: string): string {
  return posix.join(paths.engineBinariesDir, canonicalImageName(image), 'longhorn');
}

/** Port arguments that the instance manager completes. */
export const ENGINE_PORTS = { count: 1, args: ['--listen,:'] } as const;
export const REPLICA_PORTS = { count: 10, args: ['--listen,:'] } as const;

/** `epoch` and `record` are those that were stored for this very start. */
export function engineProcessArguments(engine: Engine, settings: EngineArguments): string[] {
  const { spec, status } = engine;
  const record = status.membership;
  return [
    '--engine-instance-name',
    engine.metadata.name,
    'controller',
    spec.volumeName,
    '--frontend',
    spec.disableFrontend ? '' : engineFrontend(spec.frontend),
    ...(spec.revisionCounterDisabled ? ['--disableRevCounter'] : []),
    ...(spec.salvageRequested ? ['--salvageRequested'] : []),
    '--size',
    spec.volumeSize,
    '--current-size',
    status.currentSize === '0' ? spec.volumeSize : status.currentSize,
    '--engine-replica-timeout',
    String(settings.engineReplicaTimeoutS),
    '--file-sync-http-client-timeout',
    String(settings.fileSyncTimeoutS),
    ...(spec.unmapMarkSnapChainRemovedEnabled ? ['--unmap-mark-snap-chain-removed'] : []),
    '--snapshot-max-count',
    String(spec.snapshotMaxCount),
    '--snapshot-max-size',
    spec.snapshotMaxSize,
    '--epoch',
    String(spec.epoch),
    ...(record === null ? [] : ['--membership', JSON.stringify(recordJson(record))]),
    '--io-hold-timeout',
    String(settings.ioHoldTimeoutS),
    '--blockdev-driver',
    settings.blockdevDriver,
    ...(spec.frontend === 'iscsi' ? ['--iscsi-authentication', settings.iscsiAuthentication] : []),
    ...Object.entries(spec.replicaAddressMap)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([, address]) => ['--replica', `tcp://${address}`]),
  ];
}

function recordJson({ epoch, count, members, decided }: NonNullable<Engine['status']['membership']>): object {
  return { epoch, count, members: members.toSorted(), decided };
}

export function replicaProcessArguments(replica: Replica, paths: NodePaths): string[] {
  const { spec } = replica;
  return [
    '--volume-name',
    spec.volumeName,
    'replica',
    replicaFolder(replica, paths.hostRoot),
    '--size',
    spec.volumeSize,
    ...(spec.revisionCounterDisabled ? ['--disableRevCounter'] : []),
    ...(spec.unmapMarkDiskChainRemovedEnabled ? ['--unmap-mark-disk-chain-removed'] : []),
    '--replica-instance-name',
    replica.metadata.name,
    '--snapshot-max-count',
    String(spec.snapshotMaxCount),
    '--snapshot-max-size',
    spec.snapshotMaxSize,
    '--sync-agent-port-count',
    '7',
  ];
}

export class UnsafePathError extends Error {
  override readonly name = 'UnsafePathError';
}

/**
 * Folder of a replica: `<host root><disk path>/replicas/<name>`. The only way to such a path; a name that could lead
 * anywhere else is refused.
 */
export function replicaFolder(replica: Replica, hostRoot: string): string {
  return replicaFolderOf(replica.spec.diskPath, replica.spec.dataDirectoryName, hostRoot);
}

export function replicaFolderOf(diskPath: string, folder: string, hostRoot: string): string {
  if (!posix.isAbsolute(diskPath) || diskPath.split('/').includes('..'))
    throw new UnsafePathError(`disk path "${diskPath}" must be absolute and without ..`);
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*-[A-Za-z0-9]+$/.test(folder) || folder.includes('..'))
    throw new UnsafePathError(`"${folder}" doesn't look like a replica data path`);
  return posix.join(hostRoot === '' ? '/' : hostRoot, diskPath, 'replicas', folder);
}
