/** Applies a JSON patch as an API server does: a path whose parent is missing is an error. */
import type { JsonObject } from '../src/webhooks/json-object.ts';
import { isJsonObject } from '../src/webhooks/json-object.ts';
import type { PatchOperation } from '../src/webhooks/json-patch.ts';

export function applyPatch(object: JsonObject, operations: readonly PatchOperation[]): JsonObject {
  const result = structuredClone(object);
  for (const operation of operations) {
    const keys = operation.path
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = keys.pop() ?? '';
    let parent = result;
    for (const key of keys) {
      const next = parent[key];
      if (!isJsonObject(next)) throw new Error(`no object at ${operation.path}`);
      parent = next;
    }
    if (operation.op === 'add') parent[last] = structuredClone(operation.value);
    else delete parent[last];
  }
  return result;
}
