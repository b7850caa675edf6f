/**
 * Names of objects, made exactly as upstream makes them: another manager must find the same object under the same
 * name. Randomness comes in as hex digits, from the caller.
 */
import { createHash } from 'node:crypto';
import { sha256Hex, sha512Hex } from './sha2.ts';

/** Objects that people name are at most this long. */
export const NAME_LENGTH_MAX = 40;
const HASHED_PREFIX_LENGTH = 31;
const HASH_LENGTH = 8;
const UUID_NAMESPACE_HEX = '08958d5465cd4d8786279831a1eab170';

/** Lower-cases a name and shortens it over 40 characters: 31 of it, a dash and 8 hex digits of its SHA-512. */
export function autoCorrectName(name: string): string {
  const lower = name.toLowerCase();
  if (lower.length <= NAME_LENGTH_MAX) return lower;
  const prefix = lower.slice(0, HASHED_PREFIX_LENGTH).replace(/-+$/, '');
  return `${prefix}-${sha512Hex(name).slice(0, HASH_LENGTH)}`;
}

function requireHex(hex: string, length: number): string {
  if (hex.length < length || !/^[0-9a-f]+$/.test(hex))
    throw new Error(`need ${length} random hex digits, got "${hex}"`);
  return hex.slice(0, length);
}

/** Name of the first engine of a volume, or of the one after `current`. */
export function nextEngineName(volume: string, current: string | null): string {
  if (current === null) return `${volume}-e-0`;
  const number = /^[0-9]+$/.exec(current.slice(current.lastIndexOf('-') + 1));
  return `${volume}-e-${number === null ? 1 : Number(number[0]) + 1}`;
}

/** Name of a replica, from 8 random hex digits. */
export function replicaName(volume: string, randomHex: string): string {
  return `${volume}-r-${requireHex(randomHex, 8)}`;
}

/** Folder of a replica on its disk, from 8 random hex digits of its own. */
export function replicaDataDirectoryName(volume: string, randomHex: string): string {
  return `${volume}-${requireHex(randomHex, 8)}`;
}

/** Generated name such as `snap-0123456789abcdef`, from 16 random hex digits. */
export function generatedName(prefix: string, randomHex: string): string {
  return `${prefix}-${requireHex(randomHex, 16)}`;
}

/** Name of the EngineImage of an image reference. */
export function engineImageName(image: string): string {
  return `ei-${sha512Hex(image.trim()).slice(0, HASH_LENGTH)}`;
}

/** Name of the DaemonSet that deploys an EngineImage. */
export function engineImageDaemonSetName(engineImage: string): string {
  return `engine-image-${engineImage}`;
}

/** Name of the instance manager of a node, an image and a data engine; also of its pod. */
export function instanceManagerName(node: string, image: string, dataEngine: string): string {
  return `instance-manager-${sha512Hex(node + image + dataEngine).slice(0, 32)}`;
}

/** Image reference as it stands in folder names and in hashed label values. */
export function canonicalImageName(image: string): string {
  return image.replaceAll(/[:/]/g, '-');
}

/** Value of the label `longhorn.io/instance-manager-image`. */
export function instanceManagerImageLabel(image: string): string {
  return `imi-${sha512Hex(canonicalImageName(image)).slice(0, HASH_LENGTH)}`;
}

/** Value of the label `longhorn.io/share-manager-image`. */
export function shareManagerImageLabel(image: string): string {
  return `smi-${sha512Hex(canonicalImageName(image)).slice(0, HASH_LENGTH)}`;
}

/** Name of the manager of the backing images of a disk. */
export function backingImageManagerName(image: string, diskUuid: string): string {
  return `bim-${sha256Hex(`${image}-${diskUuid}`)}`;
}

/** Name of the BackupVolume of a volume in a backup target. */
export function backupVolumeName(volume: string, backupTarget: string): string {
  return `${volume}-${sha256Hex(`${volume}-${backupTarget}`).slice(0, HASH_LENGTH)}`;
}

/** Name of the orphan of a replica folder. */
export function orphanDataName(
  node: string,
  diskName: string,
  diskPath: string,
  diskUuid: string,
  directory: string,
): string {
  return `orphan-${sha256Hex([node, diskName, diskPath, diskUuid, directory].join('-'))}`;
}

/** Name of the orphan of a process. */
export function orphanInstanceName(
  instance: string,
  instanceUuid: string,
  instanceManager: string,
  dataEngine: string,
): string {
  return `orphan-${sha256Hex([instance, instanceUuid, instanceManager, dataEngine].join('-'))}`;
}

/** Key of an attachment ticket. */
export function attachmentTicketId(attacherType: string, id: string): string {
  return `${attacherType}-${id}`.slice(0, 253);
}

/** UUID (version 5) of a text in the namespace of the system: the snapshot name of a volume's clone. */
export function deterministicUuid(text: string): string {
  const digest = createHash('sha1').update(Buffer.from(UUID_NAMESPACE_HEX, 'hex')).update(text, 'utf8').digest();
  digest[6] = ((digest[6] ?? 0) & 0x0f) | 0x50;
  digest[8] = ((digest[8] ?? 0) & 0x3f) | 0x80;
  const hex = digest.toString('hex').slice(0, 32);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
