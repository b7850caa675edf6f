/**
 * JSON values as the API server handles them. Objects in the store are never changed in place:
 * whoever wants a different object makes a copy.
 */
export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json | undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as an object; `{}` where it is absent, so that optional branches can be walked. */
export function objectAt(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}

/** The value as a list; `[]` where it is absent. */
export function listAt(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

/** The value as a string; `''` where it is absent. */
export function stringAt(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** A plain value as text; `''` where it is absent or not plain. */
export function textAt(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** A map of strings (labels, annotations, selectors); other values are left out. */
export function stringMapAt(value: Json | undefined): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [key, entry] of Object.entries(objectAt(value))) if (typeof entry === 'string') result[key] = entry;
  return result;
}

/** Follows keys from object to object. */
export function valueAt(value: Json | undefined, ...path: string[]): Json | undefined {
  let at = value;
  for (const key of path) {
    if (!isObject(at)) return undefined;
    at = Object.hasOwn(at, key) ? at[key] : undefined;
  }
  return at;
}

/** Deep copy. */
export function copyOf<T extends Json | undefined>(value: T): T {
  return structuredClone(value);
}

/** Deep equality; a key with the value `undefined` counts as absent. */
export function equal(left: Json | undefined, right: Json | undefined): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) || Array.isArray(right)) {
    if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false;
    return left.every((entry, index) => equal(entry, right[index]));
  }
  const keys = Object.keys(left).filter((key) => left[key] !== undefined);
  const count = Object.keys(right).reduce((n, key) => (right[key] === undefined ? n : n + 1), 0);
  return keys.length === count && keys.every((key) => Object.hasOwn(right, key) && equal(left[key], right[key]));
}

/** Nesting depth, given up at `max + 1`. */
export function depthOf(value: Json | undefined, max: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (max <= 0) return 1;
  let deepest = 0;
  for (const entry of Array.isArray(value) ? value : Object.values(value)) {
    deepest = Math.max(deepest, depthOf(entry, max - 1));
    if (deepest >= max) break;
  }
  return deepest + 1;
}
