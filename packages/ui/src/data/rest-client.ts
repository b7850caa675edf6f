/** Calls of the API. Every failure is an ApiError with the server's own sentence. */
import { dataLimits } from './limits.ts';

/** Why a call failed. `status` 0: no answer came. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(message: string, status: number, options?: ErrorOptions) {
    super(message.slice(0, dataLimits.messageCharactersMax), options);
    this.status = status;
  }
}

/** The page may live below a path of an ingress: the API is below the same one. */
function prefix(): string {
  return location.pathname.replace(/\/[^/]*$/, '');
}

/** Address of a path of the API, such as `/v1/volumes`. */
export function apiUrl(path: string): string {
  return `${prefix()}${path}`;
}

/** Address of a stream. */
export function streamUrl(stream: string): string {
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return `${scheme}//${location.host}${prefix()}/v1/ws/1s/${stream}`;
}

function messageOf(status: number, text: string): string {
  const fallback = `The server answered with status ${status}${text === '' ? ' and no words' : `: ${text}`}`;
  if (!text.startsWith('{')) return fallback;
  try {
    const body: unknown = JSON.parse(text);
    const message = typeof body === 'object' && body !== null && 'message' in body ? body.message : null;
    return typeof message === 'string' && message !== '' ? message : fallback;
  } catch (error) {
    if (error instanceof SyntaxError) return fallback;
    throw error;
  }
}

async function call(method: string, path: string, body: unknown): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(apiUrl(path), {
      method,
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      signal: AbortSignal.timeout(dataLimits.requestMsMax),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (error) {
    const late = error instanceof DOMException && error.name === 'TimeoutError';
    const why = late
      ? `no answer came within ${dataLimits.requestMsMax / 1000} seconds`
      : 'the server cannot be reached';
    const doubt = method === 'GET' ? '' : '; it may still have been done';
    throw new ApiError(`${method} ${path}: ${why}${doubt}`, 0, { cause: error });
  }
  if (!response.ok) throw new ApiError(messageOf(response.status, text), response.status);
  if (text.trim() === '') return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(`${method} ${path}: the answer is no JSON`, response.status, { cause: error });
  }
}

export const getJson = (path: string): Promise<unknown> => call('GET', path, undefined);
export const postJson = (path: string, body: object): Promise<unknown> => call('POST', path, body);
export const deleteResource = (path: string): Promise<unknown> => call('DELETE', path, undefined);

/** Path of a resource. */
export function resourcePath(collection: string, id: string): string {
  return `/v1/${collection}/${encodeURIComponent(id)}`;
}

/** Runs an action of a resource. */
export function postAction(collection: string, id: string, action: string, input: object): Promise<unknown> {
  return postJson(`${resourcePath(collection, id)}?action=${action}`, input);
}

/** The sentence of whatever was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
