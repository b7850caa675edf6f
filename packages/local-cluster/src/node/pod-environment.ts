/**
 * The environment of a container: the node's variables (docs/design/…-contracts.md), one pair per Service, then the
 * container's own with `$(NAME)` expanded.
 */
import { STORAGE } from '../api/builtin-kinds.ts';
import { listAt, objectAt, stringAt, stringMapAt, textAt, valueAt } from '../api/json.ts';
import type { Store } from '../api/store.ts';
import { fieldValue, type ContainerSpec, type EnvSource, type Pod } from './pod.ts';

export const NODE_MARK = 'LONGHORN_NODE_MARK';
/** `<pod uid>/<container>`; a process that shall outlive its pod takes it out of its environment. */
export const POD_MARK = 'LONGHORN_POD_MARK';

export class EnvironmentError extends Error {}

export interface PodPlace {
  store: Store;
  podIp: string;
  hostIp: string;
  /** variables that every process of the node gets */
  node: Readonly<Record<string, string>>;
}

/** Replaces `$(NAME)` by a variable that is known; `$$(NAME)` stays as `$(NAME)`. */
export function expand(text: string, known: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$(\$|\(([A-Za-z_][\w.-]*)\))/g, (whole, dollar: string, name: string | undefined) => {
    if (name === undefined) return dollar === '$' ? '$' : whole;
    return known.get(name) ?? whole;
  });
}

function mapData(
  place: PodPlace,
  namespace: string,
  kind: 'configMap' | 'secret',
  name: string,
): Record<string, string> | null {
  const object = place.store.get(kind === 'secret' ? STORAGE.secrets : STORAGE.configMaps, namespace, name);
  if (object === null) return null;
  const data = stringMapAt(object['data']);
  if (kind === 'configMap') return data;
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}

function resolved(place: PodPlace, pod: Pod, source: EnvSource, known: ReadonlyMap<string, string>): string | null {
  switch (source.from) {
    case 'value':
      return expand(source.value, known);
    case 'field': {
      const value = fieldValue(pod, source.path, place.podIp, place.hostIp);
      if (value === null) throw new EnvironmentError(`fieldRef ${source.path} is not one that local-cluster knows`);
      return value;
    }
    case 'configMap':
    case 'secret': {
      const value = mapData(place, pod.namespace, source.from, source.name)?.[source.key];
      if (value !== undefined) return value;
      if (source.optional) return null;
      throw new EnvironmentError(`${source.from} "${source.name}" with the key "${source.key}" is not there`);
    }
  }
}

/** `NAME_SERVICE_HOST` and `NAME_SERVICE_PORT` of every service in the pod's namespace. */
function serviceVariables(store: Store, namespace: string): [string, string][] {
  return store.list(STORAGE.services, namespace).flatMap((service) => {
    const address = stringAt(valueAt(service, 'spec', 'clusterIP'));
    if (address === '' || address === 'None') return [];
    const name = service.metadata.name.toUpperCase().replaceAll('-', '_');
    const port = textAt(objectAt(listAt(valueAt(service, 'spec', 'ports'))[0])['port']);
    return [
      [`${name}_SERVICE_HOST`, address],
      [`${name}_SERVICE_PORT`, port],
    ];
  });
}

/** All variables of a container; throws an EnvironmentError that says what is missing. */
export function containerEnvironment(place: PodPlace, pod: Pod, container: ContainerSpec): Map<string, string> {
  const result = new Map<string, string>(serviceVariables(place.store, pod.namespace));
  for (const [name, value] of Object.entries(place.node)) result.set(name, value);
  result.set('NODE_NAME', pod.node);
  result.set('POD_NAME', pod.name);
  result.set('POD_NAMESPACE', pod.namespace);
  result.set('POD_IP', place.podIp);
  result.set('HOSTNAME', pod.name);
  for (const source of container.envFrom) {
    const data = mapData(place, pod.namespace, source.from, source.name);
    if (data === null && !source.optional) throw new EnvironmentError(`${source.from} "${source.name}" is not there`);
    for (const [key, value] of Object.entries(data ?? {})) result.set(`${source.prefix}${key}`, value);
  }
  for (const { name, source } of container.env) {
    const value = resolved(place, pod, source, result);
    if (value !== null) result.set(name, value);
  }
  // Last, so that no manifest can take a process out of reach of a power-cut.
  result.set(NODE_MARK, place.node[NODE_MARK] ?? '');
  result.set(POD_MARK, `${pod.uid}/${container.name}`);
  return result;
}
