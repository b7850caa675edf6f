/**
 * JSON patch (RFC 6902) and JSON merge patch (RFC 7386). Arguments are left alone.
 */
import { copyOf, equal, isObject, listAt, stringAt, type Json, type JsonObject } from './json.ts';
import { ApiError, badRequest } from './status-error.ts';

/** Applies a merge patch: null removes, objects merge, all else replaces. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || value === undefined) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** As the real server words it; what is wrong goes into the error's cause, for the log. */
const unprocessable = (detail: string): ApiError =>
  Object.assign(new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {}), {
    cause: detail,
  });

function pointerOf(path: Json | undefined): string[] {
  const text = stringAt(path);
  if (text === '') return [];
  if (!text.startsWith('/')) throw badRequest(`a JSON patch path must start with "/": ${JSON.stringify(path)}`);
  return text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function indexIn(list: Json[], key: string, append: boolean): number {
  if (append && key === '-') return list.length;
  const index = Number(key);
  const last = append ? list.length : list.length - 1;
  if (!/^\d+$/.test(key) || index > last) throw unprocessable(`index ${key} is out of range`);
  return index;
}

function lookup(document: Json, pointer: string[]): Json {
  let at: Json | undefined = document;
  for (const key of pointer) {
    if (Array.isArray(at)) at = at[indexIn(at, key, false)];
    else at = isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined;
    if (at === undefined) throw unprocessable(`there is nothing at /${pointer.join('/')}`);
  }
  return at;
}

/** Puts (or with `undefined` removes) a value; works on a private copy of the document. */
function assign(document: Json, pointer: string[], operation: 'add' | 'replace' | 'remove', value: Json | null): Json {
  const key = pointer.at(-1);
  if (key === undefined) {
    if (operation === 'remove') throw unprocessable('the whole object cannot be removed by a patch');
    return value;
  }
  const parent = lookup(document, pointer.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = indexIn(parent, key, operation === 'add');
    if (operation === 'remove') parent.splice(index, 1);
    else parent.splice(index, operation === 'add' ? 0 : 1, value);
  } else if (isObject(parent)) {
    // `replace` of what is not there adds it, as with the real server.
    if (operation === 'remove' && !Object.hasOwn(parent, key))
      throw unprocessable(`there is nothing at /${pointer.join('/')} to ${operation}`);
    if (operation === 'remove') delete parent[key];
    else parent[key] = value;
  } else throw unprocessable(`/${pointer.join('/')} is not inside an object or a list`);
  return document;
}

function applyOne(document: Json, operation: JsonObject): Json {
  const path = pointerOf(operation['path']);
  const given = (): Json => {
    const value = operation['value'];
    if (value === undefined) throw badRequest(`operation ${stringAt(operation['op'])} needs a value`);
    return copyOf(value);
  };
  switch (stringAt(operation['op'])) {
    case 'add':
      return assign(document, path, 'add', given());
    case 'replace':
      return assign(document, path, 'replace', given());
    case 'remove':
      return assign(document, path, 'remove', null);
    case 'test':
      if (!equal(lookup(document, path), given())) throw unprocessable(`test of /${path.join('/')} failed`);
      return document;
    case 'copy':
      return assign(document, path, 'add', copyOf(lookup(document, pointerOf(operation['from']))));
    case 'move': {
      const from = pointerOf(operation['from']);
      const value = copyOf(lookup(document, from));
      return assign(assign(document, from, 'remove', null), path, 'add', value);
    }
    default:
      throw unprocessable(`unknown JSON patch operation ${JSON.stringify(operation['op'])}`);
  }
}

/** Applies a JSON patch; all of it or, by an error, nothing. */
export function jsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('a JSON patch must be a list of operations');
  return listAt(patch).reduce<Json>((document, operation) => {
    if (!isObject(operation)) throw badRequest('each operation of a JSON patch must be an object');
    return applyOne(document, operation);
  }, copyOf(target));
}
