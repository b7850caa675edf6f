/** Files of devices in /sys, which go while they are looked at. */
import { readFileSync } from 'node:fs';

/** What the kernel answers for an attribute of a device that is not there, or has just been detached. */
const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENODEV', 'ENXIO']);

/** The attribute's text, or null when the device does not have it, or is being taken away by somebody else at this moment. */
export function deviceAttribute(path: string, encoding: 'utf8' | 'latin1' = 'utf8'): string | null {
  try {
    return readFileSync(path, encoding).trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && GONE.has(String(error.code))) return null;
    throw error;
  }
}
