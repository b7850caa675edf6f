/** The CHAP accounts of a target, from a file: secrets have no place on a command line. */
import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { ChapOptions } from './chap.ts';

/** RFC 7143 asks for 96 random bits; initiators of Windows take 12 to 16 bytes. */
const SECRET_BYTES_MIN = 12;

/** Throws what is wrong with the file, naming the field. */
export function readChapFile(path: string): ChapOptions {
  return parseChap(readFileSync(path, 'utf8'), path);
}

export function parseChap(text: string, path: string): ChapOptions {
  const parsed: unknown = JSON.parse(text);
  const fields: ReadonlyMap<string, unknown> = new Map(
    typeof parsed === 'object' && parsed !== null ? Object.entries(parsed) : [],
  );
  const value = (name: string): string => {
    const found = fields.get(name);
    if (typeof found !== 'string' || found === '')
      throw new Error(`${path}: ${name} must be a string that is not empty`);
    return found;
  };
  const account = (userField: string, secretField: string): { user: string; secret: string } => {
    const secret = value(secretField);
    if (Buffer.byteLength(secret) < SECRET_BYTES_MIN) {
      throw new Error(`${path}: ${secretField} is too short: use at least ${SECRET_BYTES_MIN} bytes`);
    }
    return { user: value(userField), secret };
  };
  const initiator = account('user', 'secret');
  const hasTarget = fields.has('targetUser') || fields.has('targetSecret');
  const target = hasTarget ? account('targetUser', 'targetSecret') : null;
  if (target !== null && target.secret === initiator.secret) {
    throw new Error(`${path}: targetSecret must differ from secret, or either side could answer for the other`);
  }
  return { initiator, target };
}
