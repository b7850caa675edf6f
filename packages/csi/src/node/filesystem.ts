/** A volume's file system at its staging path, and bound from there to where pods see it. */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { FileSystem } from '../call/request-checks.ts';
import { MOUNT_TIMEOUT_MS } from '../limits.ts';
import { check, ensureFormatted, growToDevice, growUnmounted, type FormatContext } from './format.ts';
import { mountProblem } from './mount-health.ts';
import { ensureFolder, kindOf, unmountAll } from './mount-point.ts';
import { canonicalPath, mountAt, readMounts, type Mount } from './mount-table.ts';
import { runOrThrow, type NodeHost } from './node-host.ts';

export interface StagedFileSystem {
  readonly volume: string;
  /** as it is named in /dev */
  readonly device: string;
  readonly stagingPath: string;
  readonly fileSystem: FileSystem;
  readonly mountFlags: readonly string[];
  readonly mkfs: readonly string[];
  /** where the pod that waits for this sees it; null while none does */
  readonly targetPath: string | null;
}

/** Options that belong to one mount and not to the file system: a bind mount takes these. */
const MOUNT_OPTIONS =
  /^(ro|rw|nosuid|suid|nodev|dev|noexec|exec|noatime|atime|nodiratime|diratime|relatime|norelatime)$/;

async function numberOf(host: NodeHost, device: string): Promise<string> {
  const number = await host.deviceNumber(device);
  if (number === null) throw rpcError(Code.FailedPrecondition, `device ${device} is not there`);
  return number;
}

/**
 * Takes a file system away that has failed, so that it is mounted anew: the kernel gives the failed one to every further
 * mount until the last is gone. Refused while pods other than the one that waits have it.
 */
async function unmountFailed(host: NodeHost, staged: StagedFileSystem, number: string): Promise<void> {
  const { volume, stagingPath, targetPath } = staged;
  const own = await Promise.all([...(targetPath === null ? [] : [targetPath]), stagingPath].map(canonicalPath));
  const mounts = (await readMounts(host)).filter((mount) => mount.device === number);
  // The staging path tells best whether read-only was asked for.
  const witness = mounts.findLast(({ path }) => path === own.at(-1)) ?? mounts[0];
  const problem = witness === undefined ? null : await mountProblem(host, witness);
  if (problem === null) return;
  const others = mounts.map(({ path }) => path).filter((path) => !own.includes(path));
  if (others.length > 0) {
    throw rpcError(
      Code.FailedPrecondition,
      `the file system of volume ${volume} has failed: ${problem}. It is mounted anew once the pods that have it are gone: ${others.join(', ')}`,
    );
  }
  for (const path of own) if ((await mountAt(host, path))?.device === number) await unmountAll(host, path);
}

/**
 * What is mounted at the staging path if it is the volume as it is now; null when the path is free. A mount of the
 * volume's earlier device, which is gone, is taken away.
 */
async function presentStage(host: NodeHost, staged: StagedFileSystem, number: string): Promise<Mount | null> {
  const { stagingPath, device, fileSystem, volume } = staged;
  const mount = await mountAt(host, stagingPath);
  if (mount === null) return null;
  if (mount.device === number) {
    if (mount.fsType === fileSystem) return mount;
    throw rpcError(
      Code.AlreadyExists,
      `volume ${volume} is staged at ${stagingPath} as ${mount.fsType}, not ${fileSystem}`,
    );
  }
  if (mount.source !== device) {
    throw rpcError(Code.FailedPrecondition, `${mount.source} is mounted at ${stagingPath}: unmount it first`);
  }
  await unmountAll(host, stagingPath);
  return null;
}

async function mountStage(host: NodeHost, staged: StagedFileSystem): Promise<void> {
  const { volume, device, stagingPath, fileSystem, mountFlags } = staged;
  const own = fileSystem === 'xfs' ? ['nouuid'] : [];
  const options = [...new Set([...mountFlags, ...own, 'defaults'])].join(',');
  await runOrThrow(host, 'mount', ['-t', fileSystem, '-o', options, device, stagingPath], MOUNT_TIMEOUT_MS);
  const mount = await mountAt(host, stagingPath);
  const problem = mount === null ? null : await mountProblem(host, mount);
  if (problem === null) return;
  await unmountAll(host, stagingPath);
  throw rpcError(
    Code.FailedPrecondition,
    `the file system of volume ${volume} has failed: ${problem}. Containers of this node still have it: their pods must go first`,
  );
}

/** Lets the mounted file system take its device. Where that is only allowed unmounted, it is done while nobody uses it yet. */
async function growStage(context: FormatContext, staged: StagedFileSystem, isUnused: boolean): Promise<void> {
  const { host } = context;
  const { device, stagingPath, fileSystem } = staged;
  if (await growToDevice(host, device, fileSystem, await canonicalPath(stagingPath))) return;
  if (!isUnused) {
    context.warn(`${device} is larger than its file system, which this node may only grow when it is staged anew`);
    return;
  }
  await unmountAll(host, stagingPath);
  await growUnmounted(host, device);
  await mountStage(host, staged);
}

/** Mounts the volume at its staging path: formatted if it is new, checked, and as large as its device. */
export async function stageFileSystem(context: FormatContext, staged: StagedFileSystem): Promise<void> {
  const { host } = context;
  const { device, stagingPath, fileSystem } = staged;
  const number = await numberOf(host, device);
  const isReadOnly = staged.mountFlags.includes('ro');
  await unmountFailed(host, staged, number);
  if ((await presentStage(host, staged, number)) !== null) {
    if (!isReadOnly) await growStage(context, staged, false);
    return;
  }
  if ((await kindOf(stagingPath)) === 'broken') await unmountAll(host, stagingPath);
  await ensureFolder(stagingPath, 'staging_target_path');
  if (isReadOnly) return mountStage(host, staged);
  const isNew = await ensureFormatted(context, staged);
  if (!isNew) await check(context, device, fileSystem);
  const isUnused = !(await readMounts(host)).some((mount) => mount.device === number);
  await mountStage(host, staged);
  if (!isNew) await growStage(context, staged, isUnused);
}

/** Whether the staging path has the volume's file system on its present device, and it works. */
export async function isStaged(host: NodeHost, device: string, stagingPath: string): Promise<boolean> {
  const mount = await mountAt(host, stagingPath);
  if (mount === null || mount.device !== (await host.deviceNumber(device))) return false;
  return (await mountProblem(host, mount)) === null;
}

export interface Publication {
  readonly volume: string;
  readonly device: string;
  readonly stagingPath: string;
  readonly targetPath: string;
  readonly isReadOnly: boolean;
  readonly mountFlags: readonly string[];
  /** no other pod may have it */
  readonly isExclusive: boolean;
}

async function checkAlone(host: NodeHost, publication: Publication, number: string): Promise<void> {
  const stagingPath = await canonicalPath(publication.stagingPath);
  const targetPath = await canonicalPath(publication.targetPath);
  const mounts = (await readMounts(host)).filter((mount) => mount.device === number);
  // Its pod has it: the kubelet, which asks again when it was restarted, has bound further paths of the pod to it (subPath).
  if (mounts.some(({ path }) => path === targetPath)) return;
  const other = mounts.find(({ path }) => path !== stagingPath);
  if (other === undefined) return;
  throw rpcError(
    Code.FailedPrecondition,
    `volume ${publication.volume} is published at ${other.path} already, and its access mode is for one pod only`,
  );
}

/** Binds the staged file system to the target path; binding again what is bound is success. */
export async function publishFileSystem(host: NodeHost, publication: Publication): Promise<void> {
  const { volume, device, stagingPath, targetPath, isReadOnly, isExclusive } = publication;
  const number = await numberOf(host, device);
  if (isExclusive) await checkAlone(host, publication, number);
  let present = await mountAt(host, targetPath);
  if (present !== null && present.device !== number) {
    if (present.source !== device) {
      throw rpcError(Code.FailedPrecondition, `${present.source} is mounted at ${targetPath}: unmount it first`);
    }
    await unmountAll(host, targetPath);
    present = null;
  }
  if (present !== null && present.options.includes('ro') && !isReadOnly && !publication.mountFlags.includes('ro')) {
    throw rpcError(Code.AlreadyExists, `volume ${volume} is published at ${targetPath} for reading only`);
  }
  const options = publication.mountFlags.filter((flag) => MOUNT_OPTIONS.test(flag));
  const wanted = [...new Set([...(isReadOnly ? ['ro'] : []), ...options])];
  if (present === null) {
    if ((await kindOf(targetPath)) === 'broken') await unmountAll(host, targetPath);
    await ensureFolder(targetPath, 'target_path');
    await runOrThrow(host, 'mount', ['-o', 'bind', stagingPath, targetPath], MOUNT_TIMEOUT_MS);
  }
  // A second step in the kernel: done again when a call ended between the two.
  if (wanted.length > 0) {
    const remount = ['-o', ['remount', 'bind', ...wanted].join(','), targetPath];
    await runOrThrow(host, 'mount', remount, MOUNT_TIMEOUT_MS);
  }
}
