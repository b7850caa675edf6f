/** Checks of what callers send: each failure names the field and what it may be. */
import { isAbsolute } from 'node:path';
import { volumeNameProblem } from '@longhorn/shared-types';
import type { CapacityRange, VolumeCapability } from '@longhorn/shared-types/generated/csi-v1';
import { VolumeCapability_AccessMode_Mode as Mode } from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError, type RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { SIZE_BYTES_MAX, roundVolumeSize } from '@longhorn/shared-types';
import { PATH_BYTES_MAX, VOLUME_SIZE_BYTES_MIN } from '../limits.ts';

/** File systems that are made and mounted. */
export const FILE_SYSTEMS = ['ext4', 'ext3', 'xfs'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];
export const DEFAULT_FILE_SYSTEM: FileSystem = 'ext4';

/** Access modes of volumes that one node uses. */
export const ACCESS_MODES: readonly number[] = [
  Mode.SINGLE_NODE_WRITER,
  Mode.SINGLE_NODE_SINGLE_WRITER,
  Mode.SINGLE_NODE_MULTI_WRITER,
];
const MODE_NAMES = new Map<number, string>(Object.entries(Mode).map(([name, number]) => [number, name]));

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const MOUNT_FLAGS_BYTES_MAX = 4096;

export function invalid(text: string): RpcError {
  return rpcError(Code.InvalidArgument, text);
}

/** The value of a field that must be there; `what` as upstream says it. */
export function required<T>(value: T | null | undefined | '', what: string): T {
  if (value === null || value === undefined || value === '') throw invalid(`${what} missing in request`);
  return value;
}

/** Whether a volume can have this id at all. */
export function isVolumeId(id: string): boolean {
  return volumeNameProblem(id) === null;
}

/** A volume id that is there and can be one: it becomes part of paths. */
export function requiredVolumeId(id: string): string {
  const given = required(id, 'volume id');
  const problem = volumeNameProblem(given);
  if (problem !== null) throw invalid(`volume_id ${problem}`);
  return given;
}

function isControlCharacter(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  if ([TAB, LINE_FEED, CARRIAGE_RETURN].includes(code)) return false;
  return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

/** A name that the caller chose, as CSI allows it. */
export function checkedName(name: string, what: string): string {
  if (Array.from(name).some(isControlCharacter)) throw invalid(`${what} must not have control characters`);
  return name;
}

/** An absolute path without ways up. */
export function requiredPath(path: string, field: string, words: string): string {
  const given = required(path, words);
  if (!isAbsolute(given) || given.split('/').includes('..') || given.includes('\0')) {
    throw invalid(`${field} must be an absolute path without "..", it is ${JSON.stringify(given.slice(0, 200))}`);
  }
  if (Buffer.byteLength(given) > PATH_BYTES_MAX) throw invalid(`${field} must be at most ${PATH_BYTES_MAX} bytes`);
  return given;
}

/** Why a volume cannot be used like this; null when it can. */
export function capabilityProblem(capability: VolumeCapability): string | null {
  const { block, mount, access_mode: accessMode } = capability;
  if (block === null && mount === null) return 'failed to have both mount and block access type be undefined';
  if (block !== null && mount !== null) return 'failed to have both block and mount access type';
  const mode = accessMode?.mode ?? Mode.UNKNOWN;
  if (!ACCESS_MODES.includes(mode)) {
    const name = MODE_NAMES.get(mode) ?? String(mode);
    return `access mode ${name} is not supported: one node at a time can use a volume (ReadWriteOnce, ReadWriteOncePod)`;
  }
  if (mount === null) return null;
  if (mount.fs_type !== '' && !FILE_SYSTEMS.some((known) => known === mount.fs_type)) {
    return `fsType ${JSON.stringify(mount.fs_type.slice(0, 60))} is not supported, use one of ${FILE_SYSTEMS.join(', ')}`;
  }
  if (mount.mount_flags.reduce((sum, flag) => sum + Buffer.byteLength(flag), 0) > MOUNT_FLAGS_BYTES_MAX) {
    return `mount_flags must be at most ${MOUNT_FLAGS_BYTES_MAX} bytes`;
  }
  const wrong = mount.mount_flags.find((flag) => flag === '' || /[\0\n]/.test(flag) || flag.startsWith('-'));
  if (wrong !== undefined) {
    return `mount_flags has ${JSON.stringify(wrong)}, which is no mount option such as "noatime"`;
  }
  return null;
}

/** Capabilities that can all be had at once. */
export function checkedCapabilities(capabilities: readonly VolumeCapability[]): readonly VolumeCapability[] {
  if (capabilities.length === 0) throw invalid('Volume Capabilities cannot be empty');
  for (const capability of capabilities) checkCapability(capability);
  return capabilities;
}

export function checkCapability(capability: VolumeCapability): void {
  const problem = capabilityProblem(capability);
  if (problem !== null) throw invalid(problem);
}

/** The file system of a capability; null for a raw block device. */
export function fileSystemOf({ mount }: VolumeCapability): FileSystem | null {
  if (mount === null) return null;
  return FILE_SYSTEMS.find((known) => known === mount.fs_type) ?? DEFAULT_FILE_SYSTEM;
}

export interface SizeRange {
  /** what a new volume gets */
  readonly sizeBytes: bigint;
  /** 0n = none */
  readonly limitBytes: bigint;
}

/** Size of a volume for a range: at least 10 MiB, a multiple of 2 MiB, within the limit. */
export function sizeFor(range: CapacityRange | null): SizeRange {
  const requiredBytes = range?.required_bytes ?? 0n;
  const limitBytes = range?.limit_bytes ?? 0n;
  if (requiredBytes < 0n || limitBytes < 0n) {
    throw invalid('capacity_range: required_bytes and limit_bytes must not be negative');
  }
  const rounded = roundVolumeSize(requiredBytes < VOLUME_SIZE_BYTES_MIN ? VOLUME_SIZE_BYTES_MIN : requiredBytes);
  if (rounded === null || rounded > SIZE_BYTES_MAX) {
    throw rpcError(
      Code.OutOfRange,
      `capacity_range.required_bytes must be below 2^63 after rounding up to a multiple of 2 MiB, it is ${requiredBytes}`,
    );
  }
  if (limitBytes !== 0n && rounded > limitBytes) {
    throw rpcError(
      Code.OutOfRange,
      `capacity_range.limit_bytes ${limitBytes} is too small: volumes are multiples of 2 MiB and at least 10 MiB, which makes ${rounded}`,
    );
  }
  return { sizeBytes: rounded, limitBytes };
}
