/** Reading and changing JSON objects of unknown form: what comes in an admission review, before it is decoded. */

/** A JSON object. */
export type JsonObject = Record<string, unknown>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object at a key; made there when it is missing or null. */
export function objectAt(parent: JsonObject, key: string): JsonObject {
  const present = parent[key];
  if (isJsonObject(present)) return present;
  const made: JsonObject = {};
  parent[key] = made;
  return made;
}

/** The object at a key, or an empty one; the parent is not changed. */
export function peekObject(parent: JsonObject, key: string): JsonObject {
  const present = parent[key];
  return isJsonObject(present) ? present : {};
}

export function textAt(parent: JsonObject, key: string): string {
  const value = parent[key];
  return typeof value === 'string' ? value : '';
}

/** Whether a key is missing, null or an empty text: what upstream's clients write for "not said". */
export function isUnset(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

/** Sets a key that is not said yet. */
export function setDefault(parent: JsonObject, key: string, value: unknown): void {
  if (isUnset(parent[key])) parent[key] = value;
}

export function stringsAt(parent: JsonObject, key: string): string[] {
  const value = parent[key];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
