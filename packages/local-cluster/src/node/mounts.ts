/**
 * What the kernel says about mounts and loop devices.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deviceAttribute } from '@longhorn/shared-types/node/device-attribute';

export interface Mount {
  /** major:minor of the file system */
  device: string;
  point: string;
  type: string;
  source: string;
}

/** mountinfo writes blanks and backslashes as octal numbers. */
const unescaped = (text: string): string =>
  text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Parses /proc/self/mountinfo. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const separator = fields.indexOf('-');
    if (separator < 0) return [];
    return [
      {
        device: fields[2] ?? '',
        point: unescaped(fields[4] ?? ''),
        type: fields[separator + 1] ?? '',
        source: unescaped(fields[separator + 2] ?? ''),
      },
    ];
  });
}

export const currentMounts = (): Mount[] => parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'));

export interface LoopDevice {
  /** /dev/loopN */
  path: string;
  /** major:minor */
  device: string;
  backingFile: string;
  /** the kernel's number of this attachment, never used twice; 0 on kernels before 5.15 */
  sequence: number;
}

/** Loop devices that have a file behind them; a deleted one is named as it was. */
export function loopDevices(): LoopDevice[] {
  const folder = '/sys/block';
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^loop\d+$/.test(name))
    .flatMap((name) => loopDevice(join(folder, name), `/dev/${name}`) ?? []);
}

/** Null: it has no file, or is being taken away. */
function loopDevice(folder: string, path: string): LoopDevice | null {
  const backingFile = deviceAttribute(join(folder, 'loop', 'backing_file'));
  const device = deviceAttribute(join(folder, 'dev'));
  if (backingFile === null || device === null) return null;
  const sequence = Number(deviceAttribute(join(folder, 'diskseq')) ?? '0');
  return { path, device, backingFile: backingFile.replace(/ \(deleted\)$/, ''), sequence };
}

/** Whether a path is a folder or inside it. */
export const isInside = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);
