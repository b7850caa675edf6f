/**
 * `kubectl logs`: the log of a container, and with `follow` what is added to it.
 */
import { listAt, stringAt, valueAt } from '../api/json.ts';
import { namespaceOf, type KubeObject } from '../api/object.ts';
import type { PodLog } from '../api/resource-handler.ts';
import { badRequest } from '../api/status-error.ts';
import { watchBacklogBytesMax } from '../limits.ts';
import type { Kubelet } from './kubelet.ts';
import { podLogPath, readLog, shownLine, type LogOptions } from './pod-log.ts';

const isTrue = (text: string | null): boolean => text === 'true' || text === '1';

function wholeNumber(parameters: URLSearchParams, name: string): number | null {
  const text = parameters.get(name);
  if (text === null || text === '') return null;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw badRequest(`${name}: ${JSON.stringify(text)} is not a whole number`);
  return value;
}

function optionsFrom(parameters: URLSearchParams): LogOptions {
  const seconds = wholeNumber(parameters, 'sinceSeconds');
  const since = seconds === null ? parameters.get('sinceTime') : new Date(Date.now() - seconds * 1000).toISOString();
  return {
    tailLines: wholeNumber(parameters, 'tailLines'),
    sinceTime: since === '' ? null : since,
    timestamps: isTrue(parameters.get('timestamps')),
    limitBytes: wholeNumber(parameters, 'limitBytes'),
  };
}

function containerOf(pod: KubeObject, wanted: string): string {
  const names = [...listAt(valueAt(pod, 'spec', 'containers')), ...listAt(valueAt(pod, 'spec', 'initContainers'))].map(
    (entry) => stringAt(valueAt(entry, 'name')),
  );
  const [only = ''] = names;
  if (wanted === '' && names.length > 1)
    throw badRequest(
      `a container name must be specified for pod ${pod.metadata.name}, choose one of: [${names.join(' ')}]`,
    );
  const name = wanted === '' ? only : wanted;
  if (!names.includes(name)) throw badRequest(`container ${name} is not valid for pod ${pod.metadata.name}`);
  return name;
}

/** Serves logs of pods on nodes, also of nodes that are off. */
export function podLogs(kubelet: (node: string) => Kubelet | null, folder: (node: string) => string): PodLog {
  return async (pod, parameters, response) => {
    const container = containerOf(pod, parameters.get('container') ?? '');
    const options = optionsFrom(parameters);
    const node = stringAt(valueAt(pod, 'spec', 'nodeName'));
    const { name, uid } = pod.metadata;
    const path = podLogPath(folder(node), namespaceOf(pod), name, uid, container);
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    response.write(readLog(path, options));
    const log = isTrue(parameters.get('follow')) ? (kubelet(node)?.logOf(uid, container) ?? null) : null;
    if (log === null) {
      response.end();
      return;
    }
    const end = log.follow((line) => {
      const text = shownLine(line.trimEnd(), options);
      if (text !== null) response.write(`${text}\n`);
      if (response.writableLength > watchBacklogBytesMax) response.destroy();
    });
    response.once('close', end);
  };
}
