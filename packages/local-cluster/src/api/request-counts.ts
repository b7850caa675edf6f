/**
 * How often each object was asked to change, for `GET /local/writes`: a system that is at rest writes nothing but leases.
 * Counted are requests, so a write that changes nothing counts, too.
 */
import { countedWritesMax } from '../limits.ts';
import type { ResourceRoute } from './route.ts';

const REST = '(further ones)';

export class RequestCounts {
  readonly #writes = new Map<string, number>();

  /** Notes a request; those that only read are not counted. */
  note(method: string, { type, namespace, name, subresource }: ResourceRoute): void {
    if (method === 'GET' || method === 'HEAD') return;
    const kind = subresource === '' ? type.plural : `${type.plural}/${subresource}`;
    const object = [namespace, name].filter((part) => part !== null).join('/');
    const key = `${method} ${kind} ${object}`.trim();
    const known = this.#writes.has(key) || this.#writes.size < countedWritesMax ? key : REST;
    this.#writes.set(known, (this.#writes.get(known) ?? 0) + 1);
  }

  /** `PUT volumes/status longhorn-system/v1` -> requests since the server was started. */
  writes(): Record<string, number> {
    return Object.fromEntries(this.#writes);
  }
}
