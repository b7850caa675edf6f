/** The REST API as a client of it sees it. */

import { setTimeout as delay } from 'node:timers/promises';

/** The API's refusal: HTTP status and the message of its error resource. */
export class RestError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const ATTEMPTS = 8;
const PAUSE_MS = 500;
/** The API server asked the webhook of a manager that lost power just now. */
export const WEBHOOK_IS_GONE = /failed calling webhook .*(ECONNREFUSED|ECONNRESET|timeout|deadline)/;
const ATTEMPT_MS = 10_000;

export class Rest {
  private readonly base: string;

  /** @param base for example `http://127.0.0.1:8080` */
  constructor(base: string) {
    this.base = base;
  }

  /** Base address, without `/v1`. */
  get url(): string {
    return this.base;
  }

  /** Tries again while the manager behind the service's address is one that lost power just now. */
  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.callOnce<T>(method, path, body);
      } catch (error) {
        const isAnswer = error instanceof RestError && !WEBHOOK_IS_GONE.test(error.message);
        if (isAnswer || attempt === ATTEMPTS) throw error;
        await delay(PAUSE_MS);
      }
    }
  }

  private async callOnce<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(this.base + path, {
      method,
      headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ATTEMPT_MS),
    });
    const text = await response.text();
    if (!response.ok) {
      let message = text;
      try {
        message = (JSON.parse(text) as { message?: string }).message ?? text;
      } catch {
        // not JSON: the text says it
      }
      throw new RestError(response.status, message);
    }
    return (text === '' ? {} : JSON.parse(text)) as T;
  }

  get<T>(path: string): Promise<T> {
    return this.call<T>('GET', path);
  }

  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.call<T>('POST', path, body);
  }

  put<T>(path: string, body: unknown): Promise<T> {
    return this.call<T>('PUT', path, body);
  }

  delete<T>(path: string): Promise<T> {
    return this.call<T>('DELETE', path);
  }

  /** POST /v1/volumes/NAME?action=ACTION */
  action<T>(volume: string, action: string, input: unknown = {}): Promise<T> {
    return this.post<T>(`/v1/volumes/${volume}?action=${action}`, input);
  }
}
