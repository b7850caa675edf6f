/** `key=value` pairs of login and text PDUs, each ended by a zero byte. */
import { Buffer } from 'node:buffer';
import { TEXT_KEYS_MAX } from './limits.ts';

export type TextKeys = Map<string, string>;

const KEY = /^[A-Z][A-Za-z0-9.+@_:/[\]-]{0,62}$/;

/** The pairs, in their order; null: these are none (no `=`, a key twice, too many). */
export function parseTextKeys(data: Buffer): TextKeys | null {
  const keys: TextKeys = new Map();
  for (const pair of data.toString('latin1').split('\0')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const key = pair.slice(0, Math.max(at, 0));
    if (!KEY.test(key) || keys.has(key) || keys.size >= TEXT_KEYS_MAX) return null;
    keys.set(key, Buffer.from(pair.slice(at + 1), 'latin1').toString('utf8'));
  }
  return keys;
}

export function encodeTextKeys(keys: Iterable<readonly [string, string]>): Buffer {
  return Buffer.from(Array.from(keys, ([key, value]) => `${key}=${value}\0`).join(''), 'utf8');
}

/** A number as keys carry it: decimal, or hexadecimal with `0x`; null: it is none. */
export function parseNumber(value: string): number | null {
  if (!/^(?:\d{1,10}|0[xX][0-9a-fA-F]{1,8})$/.test(value)) return null;
  return Number(value);
}

/** A large binary value: `0x…` or `0b…`; null: it is none, or longer than `maxBytes`. */
export function parseBinary(value: string, maxBytes: number): Buffer | null {
  const text = value.slice(2);
  if (/^0[xX](?:[0-9a-fA-F]{1,})$/.test(value)) {
    if (text.length > 2 * maxBytes) return null;
    return Buffer.from(text.length % 2 === 0 ? text : `0${text}`, 'hex');
  }
  if (!/^0[bB][A-Za-z0-9+/]+={0,2}$/.test(value) || text.length > Math.ceil(maxBytes / 3) * 4) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length <= maxBytes ? bytes : null;
}

export const encodeBinary = (value: Buffer): string => `0x${value.toString('hex')}`;
