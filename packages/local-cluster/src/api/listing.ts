/**
 * Lists: selection, paging at one version, and the forms in which they are answered.
 */
import type { Json } from './json.ts';
import { keyOf, type KubeObject } from './object.ts';
import type { ResourceType } from './resource-type.ts';
import { fieldSelector, labelSelector, type Match } from './selectors.ts';
import { badRequest, causes, expired, invalidOptions } from './status-error.ts';
import type { Store } from './store.ts';

export interface ListRequest {
  type: ResourceType;
  namespace: string | null;
  /** a single object by name, as `metadata.name=` in a field selector */
  name: string | null;
  parameters: URLSearchParams;
}

export interface Page {
  objects: KubeObject[];
  version: number;
  continueToken: string;
  remaining: number;
}

/** Which objects a list or a watch is about. */
export function matcher({ type, namespace, name, parameters }: ListRequest): Match {
  const labels = labelSelector(parameters.get('labelSelector') ?? '');
  const fields = fieldSelector(type.storage, parameters.get('fieldSelector') ?? '', type.selectableFields);
  return (object) =>
    (namespace === null || object.metadata.namespace === namespace) &&
    (name === null || object.metadata.name === name) &&
    labels(object.metadata.labels ?? {}) &&
    fields(object);
}

interface Token {
  version: number;
  after: string;
}

function tokenFrom(text: string): Token {
  let value: Json;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as Json;
  } catch (error) {
    throw Object.assign(badRequest('continue key is not valid: take it from the previous page'), { cause: error });
  }
  if (!Array.isArray(value) || typeof value[0] !== 'number' || typeof value[1] !== 'string')
    throw badRequest('continue key is not valid: take it from the previous page');
  return { version: value[0], after: value[1] };
}

const tokenOf = (token: Token): string =>
  Buffer.from(JSON.stringify([token.version, token.after])).toString('base64url');

function limitOf(parameters: URLSearchParams): number {
  const text = parameters.get('limit');
  if (text === null || text === '' || text === '0') return Number.POSITIVE_INFINITY;
  const limit = Number(text);
  if (!Number.isSafeInteger(limit))
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return limit < 0 ? Number.POSITIVE_INFINITY : limit;
}

const MATCHES = ['Exact', 'NotOlderThan'];

/** The version that the request pins the list to; `null`: the present one. */
function pinnedVersion(parameters: URLSearchParams, current: number): number | null {
  const version = parameters.get('resourceVersion') ?? '';
  const match = parameters.get('resourceVersionMatch') ?? '';
  if (match !== '' && !MATCHES.includes(match))
    throw invalidOptions('ListOptions', [causes.notSupported('resourceVersionMatch', match, [...MATCHES, ''])]);
  if (match !== '' && version === '')
    throw invalidOptions('ListOptions', [
      causes.forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
    ]);
  if (version === '' || version === '0') return null;
  const wanted = Number(version);
  if (!Number.isSafeInteger(wanted) || wanted < 0)
    throw badRequest(`Invalid value: ${JSON.stringify(version)}: resourceVersion`);
  if (wanted > current)
    throw expired(`The resourceVersion ${version} is not one of this cluster; list again without it.`);
  return match === 'Exact' ? wanted : null;
}

/** One page of a list. */
export function listPage(store: Store, request: ListRequest): Page {
  const { parameters, type } = request;
  const limit = limitOf(parameters);
  const continued = parameters.get('continue') ?? '';
  const token = continued === '' ? null : tokenFrom(continued);
  const pinned = token?.version ?? pinnedVersion(parameters, store.version);
  const all = pinned === null ? store.list(type.storage, request.namespace) : store.listAt(type.storage, pinned);
  if (all === null)
    throw expired('The provided continue parameter or resourceVersion is too old; list again from the start.');
  const matches = matcher(request);
  const wanted = all.filter((object) => matches(object) && (token === null || keyOf(object) > token.after));
  const objects = wanted.slice(0, limit === Number.POSITIVE_INFINITY ? wanted.length : limit);
  const last = objects.at(-1);
  const version = pinned ?? store.version;
  const more = objects.length < wanted.length && last !== undefined;
  return {
    objects,
    version,
    continueToken: more ? tokenOf({ version, after: keyOf(last) }) : '',
    remaining: wanted.length - objects.length,
  };
}
