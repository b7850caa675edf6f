/**
 * The manager's REST API as the plugin uses it.
 *
 * Calls that may be repeated without harm (reading, deleting, tickets by their id) are repeated when the manager does
 * not answer; all others are sent once, and their caller looks at what became of them.
 */
import type { RestContent, RestSchemaId } from '@longhorn/shared-types';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { Clock } from '../call/clock.ts';
import { HTTP_ANSWER_BYTES_MAX, HTTP_ATTEMPTS_MAX, HTTP_RETRY_PAUSE_MS, HTTP_TIMEOUT_MS } from '../limits.ts';
import { ManagerFault, ManagerUnreachable } from './manager-fault.ts';
import { decodeCollection, decodeResource, isObject, type Resource } from './rest-decoder.ts';

type Method = 'GET' | 'POST' | 'DELETE';

/** What of `fetch` is used. */
export type Fetch = (
  url: string,
  init: { method: Method; headers: Record<string, string>; body?: string; signal: AbortSignal },
) => Promise<Pick<Response, 'status' | 'body'>>;

export interface ManagerClientOptions {
  /** for example `http://longhorn-backend:9500/v1` */
  readonly baseUrl: string;
  readonly clock: Clock;
  readonly fetch: Fetch;
  readonly timeoutMs?: number;
}

interface Call {
  method: Method;
  /** below the base URL, encoded */
  path: string;
  body?: unknown;
  /** sent again when it is not answered */
  repeatable: boolean;
}

async function readText(body: Response['body']): Promise<string> {
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > HTTP_ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${HTTP_ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function messageOf(text: string, status: number): string {
  if (text === '') return `the manager answered ${status}`;
  try {
    const decoded: unknown = JSON.parse(text);
    if (isObject(decoded) && typeof decoded['message'] === 'string') return decoded['message'];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    // Not JSON: the text itself says it.
  }
  return text.slice(0, 1000).trim();
}

export class ManagerClient {
  readonly #options: ManagerClientOptions;
  readonly #base: string;

  constructor(options: ManagerClientOptions) {
    this.#options = options;
    this.#base = options.baseUrl.replace(/\/+$/, '');
  }

  async #once({ method, path, body }: Call, signal: AbortSignal): Promise<unknown> {
    const { fetch, timeoutMs = HTTP_TIMEOUT_MS } = this.#options;
    const url = `${this.#base}${path}`;
    let status: number;
    let text: string;
    try {
      const response = await fetch(url, {
        method,
        headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      ({ status } = response);
      text = await readText(response.body);
    } catch (error) {
      signal.throwIfAborted();
      const reason = error instanceof Error && error.cause !== undefined ? errorText(error.cause) : errorText(error);
      throw new ManagerUnreachable(`the manager does not answer: ${method} ${url}: ${reason}`, { cause: error });
    }
    if (status >= 300) throw new ManagerFault(status, messageOf(text, status));
    try {
      return text === '' ? null : JSON.parse(text);
    } catch (error) {
      throw new ManagerUnreachable(`${method} ${url} was not answered in JSON`, { cause: error });
    }
  }

  async #call(call: Call, signal: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(call, signal);
      } catch (error) {
        if (!(error instanceof ManagerUnreachable) || !call.repeatable || attempt === HTTP_ATTEMPTS_MAX) throw error;
        await this.#options.clock.sleep(HTTP_RETRY_PAUSE_MS * attempt, signal);
      }
    }
  }

  /** Throws unless the API is there. */
  async probe(signal: AbortSignal): Promise<void> {
    await this.#once({ method: 'GET', path: '', repeatable: true }, signal);
  }

  /** One resource; null when it is not there. */
  async find<Id extends RestSchemaId>(
    schema: Id,
    collection: string,
    id: string,
    signal: AbortSignal,
  ): Promise<Resource<Id> | null> {
    const path = `/${collection}/${encodeURIComponent(id)}`;
    try {
      return decodeResource(schema, await this.#call({ method: 'GET', path, repeatable: true }, signal));
    } catch (error) {
      if (error instanceof ManagerFault && error.status === 404) return null;
      throw error;
    }
  }

  /** All resources of a collection, in the manager's order. */
  async list<Id extends RestSchemaId>(schema: Id, collection: string, signal: AbortSignal): Promise<Resource<Id>[]> {
    return decodeCollection(
      schema,
      await this.#call({ method: 'GET', path: `/${collection}`, repeatable: true }, signal),
    );
  }

  /** Creates a volume. Sent once: whether it arrived shows in the volume. */
  async createVolume(
    content: Partial<RestContent<'volume'>> & { unknownParameters?: readonly string[] },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#call({ method: 'POST', path: '/volumes', body: content, repeatable: false }, signal);
  }

  /** Asks for a volume's end; one that is not there is fine. */
  async deleteVolume(id: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#call({ method: 'DELETE', path: `/volumes/${encodeURIComponent(id)}`, repeatable: true }, signal);
    } catch (error) {
      if (!(error instanceof ManagerFault && error.status === 404)) throw error;
    }
  }

  /** An action of a volume that it must offer; the answer as it came. */
  async act(
    volume: Resource<'volume'>,
    action: string,
    input: object,
    options: { repeatable: boolean; signal: AbortSignal },
  ): Promise<unknown> {
    if (!volume.offeredActions.includes(action)) {
      throw new ManagerFault(
        500,
        `invalid volume state: volume ${volume.id} is ${volume.state} (${volume.robustness}) and does not offer ${action}`,
      );
    }
    const path = `/volumes/${encodeURIComponent(volume.id)}?action=${action}`;
    return this.#call({ method: 'POST', path, body: input, repeatable: options.repeatable }, options.signal);
  }
}
