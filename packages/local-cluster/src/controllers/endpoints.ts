/**
 * Services: an address of their own for each, and an Endpoints object that follows their pods.
 */
import { builtinType, STORAGE } from '../api/builtin-kinds.ts';
import { equal, objectAt, stringAt, valueAt } from '../api/json.ts';
import { keyOf, namespaceOf, type KubeObject } from '../api/object.ts';
import type { StoreEvent } from '../api/store.ts';
import { serviceAddress } from '../node/paths.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { podsOf, subsetsOf } from './services.ts';
import { WorkQueue } from './work-queue.ts';

const SERVICE = builtinType(STORAGE.services);
const ENDPOINTS = builtinType(STORAGE.endpoints);
const servicesMax = 4096;

/** `instance`: number of the cluster on this machine, see paths.ts. */
export function endpointsController({ operations, after, note }: ControllerParts, instance: number): Controller {
  const { store } = operations;
  const assign = async (service: KubeObject): Promise<void> => {
    if (stringAt(valueAt(service, 'spec', 'clusterIP')) !== '') return;
    const taken = new Set(store.list(STORAGE.services).map((other) => stringAt(valueAt(other, 'spec', 'clusterIP'))));
    for (let host = 1; host <= servicesMax; host++) {
      const clusterIP = serviceAddress(instance, host);
      if (taken.has(clusterIP)) continue;
      await operations.update(SERVICE, namespaceOf(service), service.metadata.name, '', (current) => ({
        ...current,
        spec: { ...objectAt(current['spec']), clusterIP, clusterIPs: [clusterIP] },
      }));
      return;
    }
    throw new Error(`all ${servicesMax} service addresses are taken`);
  };
  const handle = async (key: string): Promise<void> => {
    const [namespace = '', name = ''] = key.split('/');
    const service = store.get(STORAGE.services, namespace, name);
    if (service === null) {
      if (store.get(STORAGE.endpoints, namespace, name) !== null) await operations.remove(ENDPOINTS, namespace, name);
      return;
    }
    await assign(service);
    if (valueAt(service, 'spec', 'selector') === undefined) return;
    const subsets = subsetsOf(store, service);
    const present = store.get(STORAGE.endpoints, namespace, name);
    if (present === null) {
      const metadata = { name, namespace, uid: '', resourceVersion: '', creationTimestamp: '', ...labelsOf(service) };
      await operations.create(ENDPOINTS, { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets });
    } else if (!equal(present['subsets'], subsets))
      await operations.update(ENDPOINTS, namespace, name, '', (current) => ({ ...current, subsets }));
  };
  const queue = new WorkQueue(handle, after, (key, error) => note(`Service ${key}`, error));
  const podChanged = (event: StoreEvent): void => {
    const pods = new Set([event.object.metadata.uid]);
    for (const service of store.list(STORAGE.services, namespaceOf(event.object))) {
      const before = event.previous !== null && selects(service, event.previous);
      if (before || podsOf(store, service).some((pod) => pods.has(pod.metadata.uid))) queue.add(keyOf(service));
    }
  };
  const unsubscribe: (() => void)[] = [];
  return {
    start() {
      unsubscribe.push(
        store.subscribe(STORAGE.services, (event) => queue.add(keyOf(event.object))),
        store.subscribe(STORAGE.pods, podChanged),
      );
      for (const service of store.list(STORAGE.services)) queue.add(keyOf(service));
    },
    idle: () => queue.idle(),
    close: async () => {
      unsubscribe.forEach((end) => end());
      await queue.close();
    },
  };
}

const labelsOf = (service: KubeObject): { labels?: Record<string, string> } =>
  service.metadata.labels === undefined ? {} : { labels: service.metadata.labels };

function selects(service: KubeObject, pod: KubeObject): boolean {
  const selector = Object.entries(objectAt(valueAt(service, 'spec', 'selector')));
  return selector.length > 0 && selector.every(([key, value]) => pod.metadata.labels?.[key] === value);
}
