/**
 * The difference of two JSON objects as a JSON patch (RFC 6902). Lists are replaced as a whole. Only `add` and `remove`
 * are used: on a member of an object `add` also replaces, whether the member is there or not.
 */
import { isDeepStrictEqual } from 'node:util';
import { isJsonObject, type JsonObject } from './json-object.ts';

/** One operation. */
export type PatchOperation = { op: 'add'; path: string; value: unknown } | { op: 'remove'; path: string };

function escape(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The operations that make `after` of `before`. */
export function jsonPatch(before: JsonObject, after: JsonObject, path = ''): PatchOperation[] {
  const removed = Object.keys(before)
    .filter((key) => !Object.hasOwn(after, key))
    .map((key): PatchOperation => ({ op: 'remove', path: `${path}/${escape(key)}` }));
  const changed = Object.entries(after).flatMap(([key, value]): PatchOperation[] => {
    const present = before[key];
    const keyPath = `${path}/${escape(key)}`;
    if (isJsonObject(present) && isJsonObject(value)) return jsonPatch(present, value, keyPath);
    return Object.hasOwn(before, key) && isDeepStrictEqual(present, value) ? [] : [{ op: 'add', path: keyPath, value }];
  });
  return [...removed, ...changed];
}
