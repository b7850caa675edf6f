/**
 * Services: which pods stand behind them.
 */
import { STORAGE } from '../api/builtin-kinds.ts';
import { isObject, listAt, objectAt, stringAt, stringMapAt, valueAt, type Json } from '../api/json.ts';
import { namespaceOf, type KubeObject } from '../api/object.ts';
import type { Store } from '../api/store.ts';
import type { Endpoint, ResolveService } from '../api/webhook-admission.ts';

/** Whether a pod's Ready condition is true and it is not on its way out. */
export function podIsReady(pod: KubeObject): boolean {
  return (
    pod.metadata.deletionTimestamp === undefined &&
    listAt(valueAt(pod, 'status', 'conditions')).some(
      (entry) => valueAt(entry, 'type') === 'Ready' && valueAt(entry, 'status') === 'True',
    )
  );
}

/** The number of a target port, which may be the name of a container's port; `null`: the pod has no such port. */
function portNumber(pod: KubeObject, target: Json | undefined): number | null {
  if (typeof target === 'number') return target;
  const ports = listAt(valueAt(pod, 'spec', 'containers')).flatMap((container) => listAt(valueAt(container, 'ports')));
  const found = ports.find((port) => valueAt(port, 'name') === target);
  const number = valueAt(found, 'containerPort');
  return typeof number === 'number' ? number : null;
}

/** Pods that a service selects. */
export function podsOf(store: Store, service: KubeObject): KubeObject[] {
  const selector = Object.entries(stringMapAt(valueAt(service, 'spec', 'selector')));
  if (selector.length === 0) return [];
  return store
    .list(STORAGE.pods, namespaceOf(service))
    .filter((pod) => selector.every(([key, value]) => pod.metadata.labels?.[key] === value));
}

/** Ready endpoints of one port of a service. */
export function readyEndpoints(store: Store, service: KubeObject, port: number): Endpoint[] {
  const definition = listAt(valueAt(service, 'spec', 'ports')).find((entry) => valueAt(entry, 'port') === port);
  if (!isObject(definition)) return [];
  return podsOf(store, service)
    .filter(podIsReady)
    .flatMap((pod) => {
      const address = stringAt(valueAt(pod, 'status', 'podIP'));
      const number = portNumber(pod, definition['targetPort']);
      return address === '' || number === null ? [] : [{ address, port: number }];
    });
}

/** Resolution for webhooks: the pods in turn. */
export function serviceResolver(store: Store): ResolveService {
  let turn = 0;
  return (namespace, name, port) => {
    const service = store.get(STORAGE.services, namespace, name);
    if (service === null) return null;
    const endpoints = readyEndpoints(store, service, port);
    return endpoints.length === 0 ? null : (endpoints[turn++ % endpoints.length] ?? null);
  };
}

/** `subsets` of the Endpoints object of a service. */
export function subsetsOf(store: Store, service: KubeObject): Json[] {
  const pods = podsOf(store, service).filter((pod) => stringAt(valueAt(pod, 'status', 'podIP')) !== '');
  const ports = (pod: KubeObject): Json[] =>
    listAt(valueAt(service, 'spec', 'ports')).flatMap((port) => {
      const number = portNumber(pod, valueAt(port, 'targetPort'));
      const name = stringAt(valueAt(port, 'name'));
      return number === null ? [] : [{ ...(name === '' ? {} : { name }), port: number, protocol: 'TCP' }];
    });
  const address = (pod: KubeObject): Json => ({
    ip: stringAt(valueAt(pod, 'status', 'podIP')),
    nodeName: stringAt(objectAt(pod['spec'])['nodeName']),
    targetRef: { kind: 'Pod', namespace: namespaceOf(pod), name: pod.metadata.name, uid: pod.metadata.uid },
  });
  const first = pods[0];
  if (first === undefined) return [];
  const ready = pods.filter(podIsReady).map(address);
  const waiting = pods.filter((pod) => !podIsReady(pod)).map(address);
  return [
    {
      ...(ready.length === 0 ? {} : { addresses: ready }),
      ...(waiting.length === 0 ? {} : { notReadyAddresses: waiting }),
      ports: ports(first),
    },
  ];
}
