/** Of all that a failed test leaves, the one line that a person should read first. Pure. */
import { at } from '../src/kube.ts';

export interface Remains {
  /** Message of the test. */
  failure: string;
  pods: readonly object[];
  events: readonly object[];
  /** Log by pod. */
  logs: Readonly<Record<string, string>>;
}

const NOT_A_REASON = new Set(['ContainerCreating', 'PodInitializing', 'Completed']);
const LINE_CHARS_MAX = 400;
const PINO_ERROR = 50;

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const items = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const oneLine = (words: string): string => words.replaceAll(/\s+/g, ' ').trim().slice(0, LINE_CHARS_MAX);

/** A container that cannot run: nothing that waits for it is the cause. */
function brokenContainer({ pods }: Remains): string | null {
  for (const pod of pods)
    for (const status of [
      ...items(at(pod, 'status.initContainerStatuses')),
      ...items(at(pod, 'status.containerStatuses')),
    ]) {
      const waiting = at(status, 'state.waiting');
      const reason = text(at(waiting, 'reason'));
      if (reason === '' || NOT_A_REASON.has(reason)) continue;
      const message = text(at(status, 'lastState.terminated.message')) || text(at(waiting, 'message'));
      return `pod ${text(at(pod, 'metadata.name'))}: ${text(at(status, 'name'))}: ${reason}: ${message}`;
    }
  return null;
}

const timeOf = (event: unknown): string =>
  text(at(event, 'lastTimestamp')) || text(at(event, 'eventTime')) || text(at(event, 'metadata.creationTimestamp'));

/** The newest word about something that the failure names, if it is a warning: what went well afterwards was not the cause. */
function namedWarning({ failure, events }: Remains): string | null {
  const newest = new Map<string, object>();
  for (const event of events) {
    const name = text(at(event, 'involvedObject.name'));
    if (name === '' || !failure.includes(name)) continue;
    const object = `${text(at(event, 'involvedObject.kind'))} ${name}`;
    const known = newest.get(object);
    if (known === undefined || timeOf(event) >= timeOf(known)) newest.set(object, event);
  }
  for (const [object, event] of newest)
    if (at(event, 'type') === 'Warning')
      return `${object}: ${text(at(event, 'reason'))}: ${text(at(event, 'message'))}`;
  return null;
}

/** The last error that a component logged about something that the failure names. */
function loggedError({ failure, logs }: Remains): string | null {
  let last: string | null = null;
  for (const [pod, log] of Object.entries(logs))
    for (const line of log.split('\n')) {
      if (Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? '0') < PINO_ERROR) continue;
      const subject = /"(?:key|volume|name|object)":"(?:[^"/]*\/)?([^"/]+)"/.exec(line)?.[1];
      if (subject !== undefined && failure.includes(subject)) last = `${pod}: ${line}`;
    }
  return last;
}

export function lineThatMatters(remains: Remains): string {
  const found = brokenContainer(remains) ?? namedWarning(remains) ?? loggedError(remains);
  return oneLine(found ?? remains.failure.split('\n', 1)[0] ?? '');
}
