/**
 * A request of the comparison, as data. `{{name}}` in a path or a body stands for a value that an earlier answer of the
 * same server gave; `{{ns}}` for the namespace of the run.
 */
export interface ApiRequest {
  /** unique: reports and accepted differences name it */
  name: string;
  method: string;
  path: string;
  /** objects are sent as JSON, strings as they stand */
  body?: unknown;
  headers?: Record<string, string>;
  /** name of a value -> where it is in the answer */
  keep?: Record<string, string>;
  /** a stream: how many lines are read */
  lines?: number;
  /** repeated until this status comes: what controllers of the cluster do in the background */
  until?: number;
  anonymous?: boolean;
}

type Extra = Omit<ApiRequest, 'name' | 'method' | 'path' | 'body'>;

export const get = (name: string, path: string, extra: Extra = {}): ApiRequest => ({
  name,
  method: 'GET',
  path,
  ...extra,
});
export const post = (name: string, path: string, body: unknown, extra: Extra = {}): ApiRequest => ({
  name,
  method: 'POST',
  path,
  body,
  ...extra,
});
export const put = (name: string, path: string, body: unknown, extra: Extra = {}): ApiRequest => ({
  name,
  method: 'PUT',
  path,
  body,
  ...extra,
});
export const remove = (name: string, path: string, body?: unknown, extra: Extra = {}): ApiRequest => ({
  name,
  method: 'DELETE',
  path,
  ...(body === undefined ? {} : { body }),
  ...extra,
});

const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

export const patch = (
  name: string,
  kind: keyof typeof PATCH_TYPES,
  path: string,
  body: unknown,
  extra: Extra = {},
): ApiRequest => ({
  name,
  method: 'PATCH',
  path,
  body,
  ...extra,
  headers: { 'content-type': PATCH_TYPES[kind], ...extra.headers },
});

export const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
export const METADATA = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json' };
export const METADATA_LIST = {
  accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json',
};
