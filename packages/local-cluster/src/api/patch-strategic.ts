/**
 * Strategic merge patch of built-in kinds: merge patch that knows by which key lists of objects merge.
 * Understands `$patch: replace | delete`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…` and `$retainKeys`.
 */
import { equal, isObject, listAt, stringAt, type Json, type JsonObject } from './json.ts';
import { badRequest } from './status-error.ts';

/** List fields of built-in kinds that merge, with the key of their elements. All others are replaced as a whole. */
export const MERGE_KEYS: Record<string, readonly string[]> = {
  addresses: ['type'],
  conditions: ['type'],
  containers: ['name'],
  env: ['name'],
  ephemeralContainers: ['name'],
  hostAliases: ['ip'],
  imagePullSecrets: ['name'],
  initContainers: ['name'],
  ownerReferences: ['uid'],
  podIPs: ['ip'],
  ports: ['containerPort', 'port'],
  secrets: ['name'],
  taints: ['key'],
  topologySpreadConstraints: ['topologyKey'],
  volumeDevices: ['devicePath'],
  volumeMounts: ['mountPath'],
  volumes: ['name'],
  webhooks: ['name'],
};

/** Lists of plain values that merge. */
export const MERGE_SETS = new Set(['finalizers']);

const identity = (field: string, element: Json): string | null => {
  for (const key of MERGE_KEYS[field] ?? []) {
    const value = isObject(element) ? element[key] : undefined;
    if (value !== undefined) return `${key}=${JSON.stringify(value)}`;
  }
  return null;
};

function ordered(elements: Json[], field: string, order: Json[]): Json[] {
  if (order.length === 0) return elements;
  const keyOf = (element: Json): string => identity(field, element) ?? JSON.stringify(element);
  const wanted = order.map(keyOf);
  const rank = new Map(wanted.map((key, index) => [key, index]));
  const named = elements.filter((element) => rank.has(keyOf(element)));
  named.sort((a, b) => (rank.get(keyOf(a)) ?? 0) - (rank.get(keyOf(b)) ?? 0));
  return [...named, ...elements.filter((element) => !rank.has(keyOf(element)))];
}

function mergeList(field: string, target: Json[], patch: Json[]): Json[] {
  if (patch.some((element) => isObject(element) && element['$patch'] === 'replace'))
    return patch.filter((element) => !(isObject(element) && element['$patch'] === 'replace'));
  let result = [...target];
  const added: Json[] = [];
  for (const element of patch) {
    const key = identity(field, element);
    if (key === null)
      throw badRequest(`an element of ${field} in the patch lacks its key (${(MERGE_KEYS[field] ?? []).join(' or ')})`);
    const index = result.findIndex((known) => identity(field, known) === key);
    if (isObject(element) && element['$patch'] === 'delete') result = result.filter((_, at) => at !== index);
    else if (index < 0) added.push(stripped(element));
    else result[index] = strategicMerge(result[index], element);
  }
  // New ones come first, as with the real server.
  return [...added, ...result];
}

/** A new element may still carry directives and nulls of its own. */
const stripped = (element: Json): Json => strategicMerge({}, element);

function mergeField(result: JsonObject, field: string, value: Json): void {
  const known = result[field];
  if (value === null) delete result[field];
  else if (Array.isArray(value) && MERGE_SETS.has(field)) {
    const present = listAt(known);
    result[field] = [...present, ...value.filter((entry) => !present.some((other) => equal(other, entry)))];
  } else if (Array.isArray(value) && MERGE_KEYS[field] !== undefined && value.every(isObject))
    result[field] = mergeList(field, listAt(known), value);
  else if (isObject(value)) result[field] = strategicMerge(known, value);
  else result[field] = value;
}

function directives(result: JsonObject, patch: JsonObject): void {
  for (const [key, value] of Object.entries(patch)) {
    const [directive, field] = key.split('/', 2);
    if (field === undefined) continue;
    if (directive === '$deleteFromPrimitiveList')
      result[field] = listAt(result[field]).filter((entry) => !listAt(value).some((other) => equal(other, entry)));
    else if (directive === '$setElementOrder') result[field] = ordered(listAt(result[field]), field, listAt(value));
    if (Array.isArray(result[field]) && result[field].length === 0) delete result[field];
  }
}

/** Applies a strategic merge patch to a value of a built-in kind. */
export function strategicMerge(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  if (patch['$patch'] === 'delete') return {};
  const replace = patch['$patch'] === 'replace';
  let result: JsonObject = isObject(target) && !replace ? { ...target } : {};
  const retained = patch['$retainKeys'];
  if (retained !== undefined) {
    const keep = new Set(listAt(retained).map(stringAt));
    result = Object.fromEntries(Object.entries(result).filter(([key]) => keep.has(key)));
  }
  for (const [key, value] of Object.entries(patch))
    if (!key.startsWith('$') && value !== undefined) mergeField(result, key, value);
  directives(result, patch);
  return result;
}
