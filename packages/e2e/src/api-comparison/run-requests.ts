/** Sends the requests of the comparison to one server, one after the other, and keeps what it answered. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint, WireAnswer } from './endpoint.ts';
import { normalised, type Value } from './normalise.ts';
import type { ApiRequest } from './request.ts';

const UNTIL_MS = 60_000;
const UNTIL_PAUSE_MS = 200;

export interface Observed {
  request: string;
  /** status, media type, warnings and body, without what differs from run to run */
  answer: Value;
}

function bodyOf({ text, contentType }: WireAnswer, stream: boolean): Value {
  const json = (line: string): Value => {
    try {
      return JSON.parse(line) as Value;
    } catch (error) {
      if (error instanceof SyntaxError) return line;
      throw error;
    }
  };
  if (stream && contentType === 'application/json')
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map(json);
  return contentType === 'application/json' ? json(text) : text;
}

function valueAt(value: Value, path: string): Value | undefined {
  let at: Value | undefined = value;
  for (const key of path.split('.')) {
    if (Array.isArray(at)) at = at[Number(key)];
    else at = typeof at === 'object' && at !== null ? at[key] : undefined;
  }
  return at;
}

class Run {
  readonly #endpoint: Endpoint;
  readonly #kept: Map<string, string>;
  constructor(endpoint: Endpoint, values: Readonly<Record<string, string>>) {
    this.#endpoint = endpoint;
    this.#kept = new Map(Object.entries(values));
  }

  #filled(name: string, text: string): string {
    return text.replaceAll(/\{\{(\w+)\}\}/g, (_, key: string) => {
      const value = this.#kept.get(key);
      if (value === undefined) throw new Error(`${name}: no earlier answer gave a value for {{${key}}}`);
      return value;
    });
  }

  async #send(request: ApiRequest): Promise<WireAnswer> {
    const { name, method, path, body, headers = {}, lines = null, anonymous = false } = request;
    const text = body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body);
    const wire = {
      method,
      path: this.#filled(name, path),
      body: text === null ? null : this.#filled(name, text),
      headers,
      lines,
      anonymous,
    };
    const deadline = performance.now() + UNTIL_MS;
    for (;;) {
      const answer = await this.#endpoint.send(wire);
      if (request.until === undefined || answer.status === request.until || performance.now() > deadline) return answer;
      await delay(UNTIL_PAUSE_MS);
    }
  }

  async one(request: ApiRequest): Promise<Observed> {
    const answer = await this.#send(request);
    const body = bodyOf(answer, request.lines !== undefined);
    // Before the values of this answer are kept: a body is told by what was known when it came.
    const { status, contentType, warnings } = answer;
    for (const [key, path] of Object.entries(request.keep ?? {})) {
      const value = valueAt(body, path);
      if (typeof value === 'string') this.#kept.set(key, value);
    }
    return { request: request.name, answer: normalised({ status, contentType, warnings, body }, this.#kept) };
  }
}

/**
 * The answers, in the order of the requests.
 * @param values for `{{name}}`, beside those that answers give
 */
export async function runRequests(
  endpoint: Endpoint,
  requests: readonly ApiRequest[],
  values: Readonly<Record<string, string>>,
): Promise<Observed[]> {
  const run = new Run(endpoint, values);
  const observed: Observed[] = [];
  for (const request of requests) observed.push(await run.one(request));
  return observed;
}
