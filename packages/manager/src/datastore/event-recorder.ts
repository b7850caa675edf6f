/**
 * Kubernetes events on our objects. Equal events within ten minutes are counted on one Event object. Recording never
 * fails a reconcile pass: what cannot be written is logged, what does not fit the queue is dropped and counted.
 */
import type { Logger } from 'pino';
import { API_VERSION } from '@longhorn/shared-types';
import { rfc3339, type Clock } from '../clock.ts';
import { limits } from '../limits.ts';
import { EVENT_RESOURCE } from './core-kinds.ts';
import type { KubeTransport } from './kube-transport.ts';

export interface EventSubject {
  kind: string;
  metadata: { name: string; namespace: string; uid: string };
}

export interface EventRecord {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

interface Aggregate {
  name: string;
  count: number;
  sinceMs: number;
}

export interface EventRecorderOptions {
  transport: KubeTransport;
  namespace: string;
  clock: Clock;
  log: Logger;
  host: string;
  /** Makes event names unique. */
  suffix: () => string;
}

export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #aggregates = new Map<string, Aggregate>();
  readonly #queue: { subject: EventSubject; event: EventRecord; component: string }[] = [];
  #working = false;
  dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  record(component: string, subject: EventSubject, event: EventRecord): void {
    if (this.#queue.length >= limits.eventQueueMax) {
      this.dropped += 1;
      return;
    }
    this.#queue.push({ subject, event, component });
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        await this.#write(next.component, next.subject, next.event);
      } catch (error) {
        this.#options.log.debug({ err: error, event: next.event }, 'event could not be written');
      }
    }
    this.#working = false;
  }

  async #write(component: string, subject: EventSubject, event: EventRecord): Promise<void> {
    const { transport, namespace, clock, host } = this.#options;
    const nowMs = clock.now();
    const now = rfc3339(nowMs);
    const key = JSON.stringify([component, subject.kind, subject.metadata.uid, event]);
    const present = this.#aggregates.get(key);
    if (present !== undefined && nowMs - present.sinceMs < limits.eventAggregationMs) {
      present.count += 1;
      await transport.patch(EVENT_RESOURCE, namespace, present.name, { count: present.count, lastTimestamp: now });
      return;
    }
    const name = `${subject.metadata.name}.${this.#options.suffix()}`;
    this.#remember(key, { name, count: 1, sinceMs: nowMs });
    await transport.create(EVENT_RESOURCE, namespace, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: {
        apiVersion: API_VERSION,
        kind: subject.kind,
        name: subject.metadata.name,
        namespace,
        uid: subject.metadata.uid,
      },
      ...event,
      source: { component, host },
      reportingComponent: component,
      reportingInstance: host,
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    });
  }

  #remember(key: string, aggregate: Aggregate): void {
    this.#aggregates.delete(key);
    this.#aggregates.set(key, aggregate);
    if (this.#aggregates.size <= limits.eventAggregationsMax) return;
    const oldest = this.#aggregates.keys().next().value;
    if (oldest !== undefined) this.#aggregates.delete(oldest);
  }
}
