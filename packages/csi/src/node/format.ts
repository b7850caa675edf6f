/**
 * Making and checking file systems. A device is formatted only when all of this holds: blkid finds nothing on it, its
 * start and end can be read, and its start is empty. So neither a read error nor data of an unknown kind (a raw
 * volume, a file system with a broken head) is taken for a new volume.
 *
 * mkfs that was cut off leaves a start that is not empty, or an XFS that says so itself. A note on this node, made
 * before and removed after mkfs, tells that such a device was ours to format.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { FileSystem } from '../call/request-checks.ts';
import { CHECKED_END_BYTES, CHECKED_START_BYTES, COMMAND_TIMEOUT_MS, FORMAT_TIMEOUT_MS } from '../limits.ts';
import { runOrThrow, type NodeHost } from './node-host.ts';

/** What is on a device; `partitions` and the like are formats too. */
export type Format = { kind: 'empty' } | { kind: 'known'; type: string };

const BLKID_NOTHING = 2;
const FSCK_CORRECTED = 1;
const FSCK_UNCORRECTED = 4;
const XFS_IN_PROGRESS_AT = 126;

export interface FormatContext {
  readonly host: NodeHost;
  /** for notes of formatting in progress */
  readonly stateFolder: string;
  readonly warn: (text: string) => void;
}

/** Asks blkid. Throws when it cannot tell. */
export async function formatOf(host: NodeHost, device: string): Promise<Format> {
  const args = ['-p', '-s', 'TYPE', '-s', 'PTTYPE', '-o', 'export', device];
  const { code, output } = await host.run('blkid', args, COMMAND_TIMEOUT_MS);
  if (code === BLKID_NOTHING) return { kind: 'empty' };
  if (code !== 0) throw new Error(`blkid ${args.join(' ')}: exit code ${code}: ${output.trim()}`);
  const values = new Map(
    output
      .split('\n')
      .map((line): [string, string] => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1).trim()]),
  );
  if (values.has('PTTYPE')) return { kind: 'known', type: 'unknown data, probably partitions' };
  const type = values.get('TYPE') ?? '';
  return type === '' ? { kind: 'empty' } : { kind: 'known', type };
}

/** Size of a device as the kernel has it. */
export async function deviceBytes(host: NodeHost, device: string): Promise<bigint> {
  const text = (await runOrThrow(host, 'blockdev', ['--getsize64', device], COMMAND_TIMEOUT_MS)).trim();
  if (!/^[0-9]+$/.test(text)) throw new Error(`blockdev --getsize64 ${device} printed ${JSON.stringify(text)}`);
  return BigInt(text);
}

/** An XFS whose mkfs did not get to its end: it says so in its head. */
async function isUnfinishedXfs(host: NodeHost, device: string): Promise<boolean> {
  const head = await host.readDevice(device, 0, 512);
  return head.subarray(0, 4).toString('latin1') === 'XFSB' && head[XFS_IN_PROGRESS_AT] === 1;
}

async function checkEmpty(host: NodeHost, device: string): Promise<void> {
  const size = Number(await deviceBytes(host, device));
  const start = await host.readDevice(device, 0, Math.min(size, CHECKED_START_BYTES));
  await host.readDevice(device, Math.max(0, size - CHECKED_END_BYTES), Math.min(size, CHECKED_END_BYTES));
  const at = start.findIndex((byte) => byte !== 0);
  if (at < 0) return;
  throw rpcError(
    Code.FailedPrecondition,
    `device ${device} has data of an unknown kind (first at byte ${at}) and is not formatted over it: if it may go, overwrite the first MiB with zeros, else use the volume in block mode`,
  );
}

function mkfsArguments(fileSystem: FileSystem, user: readonly string[], device: string): string[] {
  switch (fileSystem) {
    case 'ext4':
      return ['-b4096', ...user, '-F', '-m0', device];
    case 'ext3':
      return ['-F', '-m0', device];
    case 'xfs':
      return ['-ssize=4096', '-bsize=4096', ...user, '-f', device];
  }
}

/** Makes the file system if there is none; says whether it did. Another one than the wanted is an error. */
export async function ensureFormatted(
  context: FormatContext,
  {
    volume,
    device,
    fileSystem,
    mkfs,
  }: { volume: string; device: string; fileSystem: FileSystem; mkfs: readonly string[] },
): Promise<boolean> {
  const { host, stateFolder } = context;
  const note = join(stateFolder, 'formatting', volume);
  const format = await formatOf(host, device);
  if (format.kind === 'known' && !(await isUnfinishedXfs(host, device))) {
    rmSync(note, { force: true });
    if (format.type === fileSystem) return false;
    throw rpcError(
      Code.FailedPrecondition,
      `volume ${volume} has ${format.type} on it, not ${fileSystem}: it is not formatted over, use fsType ${format.type}`,
    );
  }
  if (format.kind === 'empty' && !existsSync(note)) await checkEmpty(host, device);
  if (mkfs.length > 0 && fileSystem === 'ext3') context.warn('mkfsParams are not used for ext3');
  mkdirSync(join(stateFolder, 'formatting'), { recursive: true });
  writeFileSync(note, fileSystem);
  await runOrThrow(host, `mkfs.${fileSystem}`, mkfsArguments(fileSystem, mkfs, device), FORMAT_TIMEOUT_MS);
  rmSync(note, { force: true });
  return true;
}

/** Repairs what can be repaired without asking. XFS does so when it is mounted. */
export async function check(context: FormatContext, device: string, fileSystem: FileSystem): Promise<void> {
  if (fileSystem === 'xfs') return;
  const { code, output } = await context.host.run('fsck', ['-a', device], FORMAT_TIMEOUT_MS);
  if ((code & FSCK_UNCORRECTED) !== 0) {
    throw rpcError(
      Code.FailedPrecondition,
      `device ${device} has file system errors that fsck -a does not repair: attach the volume in maintenance and run fsck by hand: ${output.trim()}`,
    );
  }
  if ((code & FSCK_CORRECTED) !== 0) context.warn(`fsck corrected errors on ${device}: ${output.trim()}`);
  else if (code !== 0) context.warn(`fsck -a ${device}: exit code ${code}: ${output.trim()}`);
}

/** What the kernel asks of who grows a mounted ext file system. */
const GROWTH_DENIED = /Permission denied to resize filesystem/;

/**
 * Lets a mounted file system take all of its device; one that does already is left alone by the tools. False: an ext
 * file system that this node may not grow while it is mounted (containers without CAP_SYS_RESOURCE).
 */
export async function growToDevice(
  host: NodeHost,
  device: string,
  fsType: string,
  mountedAt: string,
): Promise<boolean> {
  if (fsType === 'xfs') {
    await runOrThrow(host, 'xfs_growfs', ['-d', mountedAt], FORMAT_TIMEOUT_MS);
    return true;
  }
  if (!isExt(fsType)) throw rpcError(Code.FailedPrecondition, `a file system of type ${fsType} cannot be expanded`);
  const { code, output } = await host.run('resize2fs', [device], FORMAT_TIMEOUT_MS);
  if (code === 0) return true;
  if (GROWTH_DENIED.test(output)) return false;
  throw new Error(`resize2fs ${device}: exit code ${code}: ${output.trim()}`);
}

/** Lets an ext file system that is not mounted take all of its device: it must be checked in full before. */
export async function growUnmounted(host: NodeHost, device: string): Promise<void> {
  const { code, output } = await host.run('e2fsck', ['-f', '-p', device], FORMAT_TIMEOUT_MS);
  if (code > FSCK_CORRECTED) throw new Error(`e2fsck -f -p ${device}: exit code ${code}: ${output.trim()}`);
  await runOrThrow(host, 'resize2fs', [device], FORMAT_TIMEOUT_MS);
}

function isExt(fsType: string): boolean {
  return ['ext2', 'ext3', 'ext4'].includes(fsType);
}
