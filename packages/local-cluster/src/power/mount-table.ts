/** The kernel's mount table, decoded. */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  /** `major:minor` of the file system */
  device: string;
  mountPoint: string;
  fileSystem: string;
  source: string;
}

/** The kernel writes blank, tab, newline and backslash as octal escapes. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Decodes the text of /proc/self/mountinfo; the newest mount comes last. */
export function parseMountTable(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const separator = fields.indexOf('-');
    const [device, mountPoint] = [fields[2], fields[4]];
    const [fileSystem, source] = [fields[separator + 1], fields[separator + 2]];
    if (separator < 0 || device === undefined || mountPoint === undefined || fileSystem === undefined) return [];
    return [{ device, mountPoint: unescape(mountPoint), fileSystem, source: unescape(source ?? '') }];
  });
}

export function readMountTable(): MountEntry[] {
  return parseMountTable(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** True when `path` is `folder` or below it. */
export function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}
