/** An API server of its own for a test, with a clock that stands still until it is told otherwise. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Admission } from '../src/api/admission.ts';
import { builtinType, STORAGE } from '../src/api/builtin-kinds.ts';
import type { Environment } from '../src/api/environment.ts';
import type { Json, JsonObject } from '../src/api/json.ts';
import { objectFrom, type KubeObject } from '../src/api/object.ts';
import { Operations } from '../src/api/operations.ts';
import { Registry } from '../src/api/registry.ts';
import { RequestCounts } from '../src/api/request-counts.ts';
import type { ResourceType } from '../src/api/resource-type.ts';
import { startServer, type RunningServer } from '../src/api/server.ts';
import { Store } from '../src/api/store.ts';
import { writeKubeconfig } from '../src/io/kubeconfig.ts';

export const TOKEN = 'test-token';

export interface TestClock extends Environment {
  advance(milliseconds: number): void;
}

/** Time, uids and suffixes that are the same in every run. */
export function testEnvironment(): TestClock {
  let at = Date.parse('2026-01-01T00:00:00Z');
  let count = 0;
  return {
    now: () => new Date(at),
    uuid: () => `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`,
    suffix: (length) => String(++count).padStart(length, 'x').slice(-length),
    advance: (milliseconds) => {
      at += milliseconds;
    },
  };
}

export const metadata = (name: string, namespace = ''): KubeObject['metadata'] => ({
  name,
  uid: '',
  resourceVersion: '',
  creationTimestamp: '',
  ...(namespace === '' ? {} : { namespace }),
});

/** A definition of the kind Widget, with the traits that Longhorn's kinds have. */
export const widgetDefinition: JsonObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.io' },
  spec: {
    group: 'example.io',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList', shortNames: ['wg'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        additionalPrinterColumns: [
          { name: 'State', type: 'string', jsonPath: '.status.state' },
          { name: 'Size', type: 'string', jsonPath: '.spec.size' },
          { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            description: 'Widget is a thing for tests.',
            properties: {
              spec: {
                type: 'object',
                properties: {
                  size: { type: 'string', description: 'How large it is.' },
                  count: { type: 'integer', minimum: 0 },
                  mode: { type: 'string', enum: ['fast', 'slow'] },
                  engine: { type: 'string', default: 'v1' },
                  tags: { type: 'array', items: { type: 'string' } },
                  parts: {
                    type: 'object',
                    additionalProperties: { type: 'object', properties: { on: { type: 'boolean' } } },
                  },
                  free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  port: { 'x-kubernetes-int-or-string': true },
                  note: { type: 'string', nullable: true },
                },
              },
              status: {
                type: 'object',
                properties: { state: { type: 'string' }, size: { type: 'integer', format: 'int64' } },
              },
            },
          },
        },
      },
    ],
  },
};

export interface Fixture {
  folder: string;
  store: Store;
  registry: Registry;
  operations: Operations;
  environment: TestClock;
  widget: ResourceType;
  failures: unknown[];
  create(object: JsonObject): Promise<KubeObject>;
  close(): Promise<void>;
}

/** Store, registry and operations with the namespace `test` and the kind Widget. */
export async function fixture(admission: (store: Store) => Admission | null = () => null): Promise<Fixture> {
  const folder = mkdtempSync(join(tmpdir(), 'local-cluster-test-'));
  const store = new Store(join(folder, 'state.db'));
  const registry = new Registry(store);
  const environment = testEnvironment();
  const operations = new Operations(store, environment, admission(store));
  const create = (object: JsonObject): Promise<KubeObject> => {
    const decoded = objectFrom(object);
    const type = registry.byKind(decoded.apiVersion, decoded.kind);
    if (type === null) throw new Error(`no kind ${decoded.kind}`);
    return operations.create(type, decoded);
  };
  await operations.create(builtinType(STORAGE.namespaces), {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: metadata('test'),
  });
  await create(widgetDefinition);
  const widget = registry.find('example.io', 'v1', 'widgets');
  if (widget === null) throw new Error('the definition serves no widgets');
  return {
    folder,
    store,
    registry,
    operations,
    environment,
    widget,
    failures: [],
    create,
    close: async () => {
      store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface ServedFixture extends Fixture {
  server: RunningServer;
  url: string;
  kubeconfig: string;
  call(
    method: string,
    path: string,
    body?: Json,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: JsonObject; headers: Headers }>;
}

/** The same behind an HTTP server. */
export async function servedFixture(admission?: (store: Store) => Admission | null): Promise<ServedFixture> {
  const base = await fixture(admission);
  const server = await startServer(
    {
      registry: base.registry,
      operations: base.operations,
      token: TOKEN,
      podLog: async (pod, _parameters, response) => {
        response.end(`log of ${pod.metadata.name}\n`);
      },
      local: async (method, parts) => (parts[0] === 'nodes' ? { method, nodes: [] } : null),
      counts: new RequestCounts(),
      failed: (_request, error) => base.failures.push(error),
    },
    '127.0.0.1',
    0,
  );
  const url = `http://127.0.0.1:${server.port}`;
  const kubeconfig = writeKubeconfig(base.folder, url, TOKEN);
  return {
    ...base,
    server,
    url,
    kubeconfig,
    call: async (method, path, body, headers = {}) => {
      const response = await fetch(`${url}/${TOKEN}${path}`, {
        method,
        headers: { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        body: (text.startsWith('{') ? JSON.parse(text) : { text }) as JsonObject,
        headers: response.headers,
      };
    },
    close: async () => {
      await server.close();
      await base.close();
    },
  };
}
