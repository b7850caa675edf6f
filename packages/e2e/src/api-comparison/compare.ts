/** The comparison: one table of requests against local-cluster and against a real API server. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { ACCEPTED } from './accepted.ts';
import { differencesOf, judge, type Verdict } from './difference.ts';
import { Endpoint } from './endpoint.ts';
import { get, post, remove, type ApiRequest } from './request.ts';
import { BUILT_IN_KINDS } from './requests/built-in-kinds.ts';
import { CORE_OBJECTS } from './requests/core-objects.ts';
import { CUSTOM_RESOURCES } from './requests/custom-resources.ts';
import { PATHS } from './requests/paths.ts';
import { WEBHOOKS } from './requests/webhooks.ts';
import { runRequests, type Observed } from './run-requests.ts';
import { startWebhookServer } from './webhook-server.ts';

export const REQUESTS: readonly ApiRequest[] = [
  ...PATHS,
  ...CORE_OBJECTS,
  ...CUSTOM_RESOURCES,
  ...BUILT_IN_KINDS,
  ...WEBHOOKS,
];

const NAMESPACE = 'api-comparison';
const DEFINITIONS = resolve(import.meta.dirname, '../../../../charts/longhorn/definitions');
const CLUSTER_WIDE = [
  '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/compare',
  '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/compare',
  '/apis/storage.k8s.io/v1/storageclasses/compare',
  '/apis/storage.k8s.io/v1/csidrivers/compare.example.io',
  '/apis/storage.k8s.io/v1/volumeattachments/compare',
  '/apis/scheduling.k8s.io/v1/priorityclasses/compare',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles/compare:role',
  '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.compare.example.io',
  '/api/v1/namespaces/compare-other',
];

/** Removes what an earlier run left, and makes the namespace; what it answers is not compared. */
const PREPARE: readonly ApiRequest[] = [
  ...CLUSTER_WIDE.map((path) => remove(path, path)),
  remove('old namespace', `/api/v1/namespaces/${NAMESPACE}`),
  get('old namespace is gone', `/api/v1/namespaces/${NAMESPACE}`, { until: 404 }),
  post('namespace', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } }),
];
const TIDY: readonly ApiRequest[] = [
  remove('namespace', `/api/v1/namespaces/${NAMESPACE}`),
  get('namespace is gone', `/api/v1/namespaces/${NAMESPACE}`, { until: 404 }),
];

interface Definition {
  metadata: { name: string };
  spec: { names: { plural: string } };
}

/** Puts the definitions of the chart in place, where they are not. */
async function definitions(endpoint: Endpoint): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const all = readdirSync(DEFINITIONS)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => parse(readFileSync(join(DEFINITIONS, name), 'utf8')) as Definition);
  const requests = all.flatMap((definition) => [
    post(definition.metadata.name, path, definition),
    get(`${definition.metadata.name} is served`, `/apis/longhorn.io/v1beta2/${definition.spec.names.plural}`, {
      until: 200,
    }),
  ]);
  for (const { request, answer } of await runRequests(endpoint, requests, {}))
    if (request.endsWith('is served') && typeof answer === 'object' && answer !== null && !Array.isArray(answer))
      if (answer['status'] !== 200) throw new Error(`${request}: ${JSON.stringify(answer)}`);
}

async function observed(kubeconfig: string, values: Readonly<Record<string, string>>): Promise<Observed[]> {
  const endpoint = new Endpoint(kubeconfig);
  await definitions(endpoint);
  await runRequests(endpoint, PREPARE, {});
  const answers = await runRequests(endpoint, REQUESTS, { ns: NAMESPACE, ...values });
  await runRequests(endpoint, TIDY, {});
  return answers;
}

export interface Comparison extends Verdict {
  requests: number;
}

/**
 * Sends all requests to both servers.
 * @param local kubeconfig of local-cluster
 * @param real kubeconfig of a real API server
 * @param webhookAddress of this machine, by which both servers reach it
 */
export async function compare(local: string, real: string, webhookAddress: string): Promise<Comparison> {
  const webhook = await startWebhookServer(webhookAddress);
  try {
    // Nobody listens on the port that TCP calls discard.
    const values = { webhook: webhook.url, ca: webhook.caBundle, nobody: `https://${webhookAddress}:9` };
    const [here, there] = await Promise.all([observed(local, values), observed(real, values)]);
    const differences = here.flatMap(({ request, answer }, index) =>
      differencesOf(request, answer, there[index]?.answer ?? null),
    );
    return { requests: REQUESTS.length, ...judge(differences, ACCEPTED) };
  } finally {
    await webhook.close();
  }
}
