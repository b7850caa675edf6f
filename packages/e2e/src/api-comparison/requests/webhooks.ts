/** Admission webhooks: what they change, refuse and warn of, and what happens when they do not answer. */
import { get, patch, post, remove, type ApiRequest } from '../request.ts';

const MAPS = '/api/v1/namespaces/{{ns}}/configmaps';
const HOOKS = '/apis/admissionregistration.k8s.io/v1';

/** A webhook that is asked for the ConfigMaps of the run with the label `hook` of its name. */
const hook = (label: string, path: string, rest: object = {}): object => ({
  name: `${label}.compare.example.io`,
  clientConfig: { url: `{{webhook}}/${path}`, caBundle: '{{ca}}' },
  rules: [
    { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE', 'DELETE'], resources: ['configmaps'] },
  ],
  namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': '{{ns}}' } },
  objectSelector: { matchLabels: { hook: label } },
  admissionReviewVersions: ['v1'],
  sideEffects: 'None',
  timeoutSeconds: 5,
  ...rest,
});
const configuration = (kind: string, webhooks: object[]): object => ({
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind,
  metadata: { name: 'compare' },
  webhooks,
});
const map = (name: string, label: string): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, labels: { hook: label } },
  data: { a: 'b' },
});
const nobody = { clientConfig: { url: '{{nobody}}/x', caBundle: '{{ca}}' } };

export const WEBHOOKS: readonly ApiRequest[] = [
  post(
    'register webhooks without a version of reviews',
    `${HOOKS}/validatingwebhookconfigurations`,
    configuration('ValidatingWebhookConfiguration', [hook('x', 'allow', { admissionReviewVersions: [] })]),
  ),
  post(
    'register webhooks with side effects',
    `${HOOKS}/validatingwebhookconfigurations`,
    configuration('ValidatingWebhookConfiguration', [hook('x', 'allow', { sideEffects: 'Some' })]),
  ),
  post(
    'register a webhook without TLS',
    `${HOOKS}/validatingwebhookconfigurations`,
    configuration('ValidatingWebhookConfiguration', [
      hook('x', 'allow', { clientConfig: { url: 'http://127.0.0.1/x' } }),
    ]),
  ),
  post(
    'register validating webhooks',
    `${HOOKS}/validatingwebhookconfigurations`,
    configuration('ValidatingWebhookConfiguration', [
      hook('deny', 'deny'),
      hook('coded', 'deny-with-code'),
      hook('silent', 'deny-silently'),
      hook('warn', 'warn'),
      hook('broken', 'broken'),
      hook('wrong', 'wrong-uid'),
      hook('gone', '', nobody),
      hook('gone-ignored', '', { ...nobody, failurePolicy: 'Ignore' }),
      hook('last', 'deny'),
    ]),
  ),
  post(
    'register mutating webhooks',
    `${HOOKS}/mutatingwebhookconfigurations`,
    configuration('MutatingWebhookConfiguration', [
      hook('change', 'change'),
      hook('spoil', 'spoil'),
      hook('refuse', 'deny'),
      hook('last', 'deny'),
    ]),
  ),
  post('the webhooks are asked', `${MAPS}?dryRun=All`, map('probe', 'refuse'), { until: 400 }),
  post('the last of them is asked', `${MAPS}?dryRun=All`, map('probe', 'last'), { until: 400 }),
  post('a webhook refuses', MAPS, map('x', 'deny')),
  post('a mutating webhook refuses', MAPS, map('x', 'refuse')),
  post('a webhook refuses with a code of its own', MAPS, map('x', 'coded')),
  post('a webhook refuses without a word', MAPS, map('x', 'silent')),
  post('a webhook warns', MAPS, map('warned-by-hook', 'warn')),
  post('a webhook is broken', MAPS, map('x', 'broken')),
  post('a webhook answers something else', MAPS, map('x', 'wrong')),
  post('a webhook is not there', MAPS, map('x', 'gone')),
  post('a webhook is not there and may be passed over', MAPS, map('passed', 'gone-ignored')),
  post('a webhook changes an object', MAPS, map('changed', 'change')),
  post('a webhook changes a dry run', `${MAPS}?dryRun=All`, map('changed-dry', 'change')),
  post('a webhook spoils an object', MAPS, map('x', 'spoil')),
  post('no webhook is for it', MAPS, map('plain', 'none')),
  patch('a webhook refuses an update', 'merge', `${MAPS}/plain`, { metadata: { labels: { hook: 'deny' } } }),
  patch('a webhook changes an update', 'merge', `${MAPS}/changed`, { data: { a: 'c' } }),
  remove('a webhook warns of a deletion', `${MAPS}/warned-by-hook`),
  get('what webhooks made of an object', `${MAPS}/changed`),
  remove('take the validating webhooks away', `${HOOKS}/validatingwebhookconfigurations/compare`),
  remove('take the mutating webhooks away', `${HOOKS}/mutatingwebhookconfigurations/compare`),
];
