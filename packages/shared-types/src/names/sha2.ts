/**
 * SHA-512 and SHA-256 of a text in hex. node:crypto does it; the package's other users of hashes import this file, so
 * that the browser code of the UI, which takes types only, never pulls it in.
 */
import { createHash } from 'node:crypto';

/** Lower case hex of the SHA-512 of the UTF-8 text. */
export function sha512Hex(text: string): string {
  return createHash('sha512').update(text, 'utf8').digest('hex');
}

/** Lower case hex of the SHA-256 of the UTF-8 text. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex');
}
