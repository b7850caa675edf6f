/** Custom resources of Longhorn: schemas, status, finalizers, dependents; and definitions themselves. */
import { get, METADATA, patch, post, put, remove, TABLE, type ApiRequest } from '../request.ts';

const OF = '/apis/longhorn.io/v1beta2/namespaces/{{ns}}';
const VOLUMES = `${OF}/volumes`;
const SETTINGS = `${OF}/settings`;
const JOBS = `${OF}/recurringjobs`;
const NODES = `${OF}/nodes`;
const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const MAPS = '/api/v1/namespaces/{{ns}}/configmaps';

const object = (kind: string, name: string, rest: object = {}, metadata: object = {}): object => ({
  apiVersion: 'longhorn.io/v1beta2',
  kind,
  metadata: { name, ...metadata },
  ...rest,
});
const volume = (name: string, spec: object, metadata: object = {}): object =>
  object('Volume', name, { spec }, metadata);

const SCHEMA: readonly ApiRequest[] = [
  post('create a volume', VOLUMES, volume('v', { size: '2097152', numberOfReplicas: 1 }), {
    keep: { uidV: 'metadata.uid', versionV: 'metadata.resourceVersion' },
  }),
  post('create the volume again', VOLUMES, volume('v', {})),
  post('create a volume without a name', VOLUMES, object('Volume', '', { spec: {} })),
  post('create a volume with an upper case name', VOLUMES, volume('V', {})),
  post('create a volume of a wrong type', VOLUMES, volume('x', { numberOfReplicas: 'three' })),
  post('create a volume with a number for a text', VOLUMES, volume('x', { size: 5 })),
  post('create a volume with a fraction for an integer', VOLUMES, volume('x', { numberOfReplicas: 1.5 })),
  post('create a volume with a value that is not in the list', VOLUMES, volume('x', { accessMode: 'many' })),
  post('create a volume with several faults', VOLUMES, volume('x', { accessMode: 'many', size: 5, dataEngine: 'v7' })),
  post('create a volume with a text for a list', VOLUMES, volume('x', { diskSelector: 'ssd' })),
  post('create a volume with a list of numbers for texts', VOLUMES, volume('x', { diskSelector: [1] })),
  post('create a volume with a spec that is a list', VOLUMES, object('Volume', 'x', { spec: [] })),
  post('create a volume with null for a text', VOLUMES, volume('null', { size: null })),
  post(
    'create a volume with an unknown field, strictly',
    `${VOLUMES}?fieldValidation=Strict`,
    volume('x', { nothing: 1 }),
  ),
  post('create a volume with unknown fields, strictly', `${VOLUMES}?fieldValidation=Strict`, {
    ...volume('x', { nothing: 1 }),
    more: 2,
  }),
  post(
    'create a volume with an unknown field, with a warning',
    `${VOLUMES}?fieldValidation=Warn`,
    volume('warned', { nothing: 1 }),
  ),
  post(
    'create a volume with an unknown field, ignored',
    `${VOLUMES}?fieldValidation=Ignore`,
    volume('ignored', { nothing: 1 }),
  ),
  post(
    'create a volume with unknown metadata, strictly',
    `${VOLUMES}?fieldValidation=Strict`,
    volume('x', {}, { nothing: 1 }),
  ),
  post(
    'create a volume with a status',
    VOLUMES,
    object('Volume', 'with-status', { spec: {}, status: { state: 'attached' } }),
  ),
  post('create a volume with a label that is a number', VOLUMES, volume('x', {}, { labels: { a: 1 } })),
  post(
    'create a volume with a fieldManager that is too long',
    `${VOLUMES}?fieldManager=${'m'.repeat(129)}`,
    volume('x', {}),
  ),
  post('create a volume as a dry run', `${VOLUMES}?dryRun=All`, volume('dry', { size: '1' })),
  get('what that dry run left', `${VOLUMES}/dry`),
  post('create a setting', SETTINGS, object('Setting', 's', { value: 'x' })),
  post(
    'create a setting with a whole number where both may be',
    SETTINGS,
    object('Setting', 's2', { value: 'x', spec: { throughputLimit: 5 } }),
  ),
  post(
    'create a setting with a list where number or text may be',
    SETTINGS,
    object('Setting', 'x', { spec: { throughputLimit: [] } }),
  ),
  post('create a setting below a minimum', SETTINGS, object('Setting', 'x', { spec: { iopsLimit: -1 } })),
  post(
    'create a job',
    JOBS,
    object('RecurringJob', 'j', {
      spec: { task: 'snapshot', cron: '0 0 * * *', groups: ['default'], retain: 1, concurrency: 1, labels: { a: 'b' } },
    }),
  ),
  post('create a job with an unknown task', JOBS, object('RecurringJob', 'x', { spec: { task: 'dance' } })),
  post(
    'create a node',
    NODES,
    object('Node', 'n', { spec: { allowScheduling: true, disks: { d: { path: '/x', tags: ['a'] } } } }),
  ),
  post('create a node with a wrong disk', NODES, object('Node', 'x', { spec: { disks: { d: { path: 5 } } } })),
];

const READ: readonly ApiRequest[] = [
  get('get a volume', `${VOLUMES}/v`),
  get('get a volume that is not there', `${VOLUMES}/missing`),
  get('get a volume as a table', `${VOLUMES}/v`, { headers: TABLE }),
  get('get a job as a table', `${JOBS}/j`, { headers: TABLE }),
  get('get a setting as a table', `${SETTINGS}/s`, { headers: TABLE }),
  get('get a node as a table', `${NODES}/n`, { headers: TABLE }),
  get('get a volume as a table with the object', `${VOLUMES}/v?includeObject=Object`, { headers: TABLE }),
  get('get a volume as a table without the object', `${VOLUMES}/v?includeObject=None`, { headers: TABLE }),
  get('get metadata of a volume', `${VOLUMES}/v`, { headers: METADATA }),
  get('list jobs', JOBS),
  get(
    'list jobs of all namespaces',
    '/apis/longhorn.io/v1beta2/recurringjobs?fieldSelector=metadata.namespace%3D{{ns}}',
  ),
  get('list nothing', `${OF}/engines`),
  get('list nothing as a table', `${OF}/engines`, { headers: TABLE }),
  get('list volumes by name', `${VOLUMES}?fieldSelector=metadata.name%3Dv`),
];

const STATUS: readonly ApiRequest[] = [
  get('get a status', `${VOLUMES}/v/status`, { keep: { versionNow: 'metadata.resourceVersion' } }),
  put(
    'put a status',
    `${VOLUMES}/v/status`,
    object(
      'Volume',
      'v',
      { spec: { size: '9' }, status: { state: 'attached' } },
      { labels: { a: 'b' }, resourceVersion: '{{versionNow}}' },
    ),
    { keep: { versionStatus: 'metadata.resourceVersion' } },
  ),
  put(
    'put a status of an old version',
    `${VOLUMES}/v/status`,
    object('Volume', 'v', { status: {} }, { resourceVersion: '{{versionV}}' }),
  ),
  put('put a status of a wrong type', `${VOLUMES}/v/status`, object('Volume', 'v', { status: { state: 5 } })),
  put(
    'put an object of its present version',
    `${VOLUMES}/v`,
    object(
      'Volume',
      'v',
      { spec: { size: '4194304' }, status: { state: 'ignored' } },
      { resourceVersion: '{{versionStatus}}' },
    ),
  ),
  put('put a volume without a version', `${VOLUMES}/v`, volume('v', { size: '4194304' })),
  put('put a volume that is not there', `${VOLUMES}/missing`, volume('missing', {}, { resourceVersion: '1' })),
  put('put a volume that is not there, without a version', `${VOLUMES}/missing`, volume('missing', {})),
  put('put a volume of an old version', `${VOLUMES}/v`, volume('v', {}, { resourceVersion: '{{versionV}}' })),
  put('put a volume with another name', `${VOLUMES}/v`, volume('w', {}, { resourceVersion: '{{versionV}}' })),
  put(
    'put a volume with another uid',
    `${VOLUMES}/v`,
    volume('v', {}, { uid: 'other', resourceVersion: '{{versionV}}' }),
  ),
  patch('patch a status', 'merge', `${VOLUMES}/v/status`, { status: { robustness: 'healthy' } }),
  patch('patch a spec by the status', 'merge', `${VOLUMES}/v/status`, { spec: { size: '7' } }),
  patch('patch a status by the object', 'merge', `${VOLUMES}/v`, { status: { state: 'detached' } }),
  patch('patch a spec', 'merge', `${VOLUMES}/v`, { spec: { numberOfReplicas: 2 } }),
  patch('patch a spec without a change', 'merge', `${VOLUMES}/v`, { spec: { numberOfReplicas: 2 } }),
  patch('patch labels only', 'merge', `${VOLUMES}/v`, { metadata: { labels: { a: 'c' } } }),
  patch('patch a spec to a wrong type', 'merge', `${VOLUMES}/v`, { spec: { numberOfReplicas: 'x' } }),
  patch('patch an unknown field, with a warning', 'merge', `${VOLUMES}/v?fieldValidation=Warn`, {
    spec: { nothing: 1 },
  }),
  patch('patch an unknown field, strictly', 'merge', `${VOLUMES}/v?fieldValidation=Strict`, { spec: { nothing: 1 } }),
  patch('patch of an old version', 'merge', `${VOLUMES}/v`, { metadata: { resourceVersion: '{{versionV}}' } }),
  patch('strategic patch of a custom resource', 'strategic', `${VOLUMES}/v`, { spec: {} }),
  patch('json patch of a custom resource', 'json', `${VOLUMES}/v`, [
    { op: 'add', path: '/spec/diskSelector', value: ['ssd'] },
  ]),
  patch('json patch of a list', 'json', `${VOLUMES}/v`, [{ op: 'add', path: '/spec/diskSelector/-', value: 'fast' }]),
  patch('json patch past the end of a list', 'json', `${VOLUMES}/v`, [
    { op: 'add', path: '/spec/diskSelector/9', value: 'x' },
  ]),
  patch('json patch of the status by the object', 'json', `${VOLUMES}/v`, [
    { op: 'replace', path: '/status/state', value: 'x' },
  ]),
  patch(
    'apply a new volume',
    'apply',
    `${VOLUMES}/applied?fieldManager=one`,
    volume('applied', { size: '1', diskSelector: ['a'] }),
  ),
  patch(
    'apply the volume again',
    'apply',
    `${VOLUMES}/applied?fieldManager=one`,
    volume('applied', { size: '1', diskSelector: ['a'] }),
  ),
  patch('apply the volume with less', 'apply', `${VOLUMES}/applied?fieldManager=one`, volume('applied', { size: '1' })),
  patch(
    'apply the volume against another',
    'apply',
    `${VOLUMES}/applied?fieldManager=two`,
    volume('applied', { size: '2' }),
  ),
  patch(
    'apply a status',
    'apply',
    `${VOLUMES}/applied/status?fieldManager=three`,
    object('Volume', 'applied', { status: { state: 'attached' } }),
  ),
  get(
    'watch a volume from its creation',
    `${VOLUMES}?watch=1&resourceVersion={{versionV}}&fieldSelector=metadata.name%3Dv&timeoutSeconds=3`,
    { lines: 3 },
  ),
];

const DELETION: readonly ApiRequest[] = [
  post('create a volume with a finalizer', VOLUMES, volume('held', {}, { finalizers: ['longhorn.io'] })),
  remove('delete a volume with a finalizer', `${VOLUMES}/held`),
  get('get a volume that is being deleted', `${VOLUMES}/held`),
  patch('patch its status meanwhile', 'merge', `${VOLUMES}/held/status`, { status: { state: 'deleting' } }),
  patch('add a finalizer meanwhile', 'merge', `${VOLUMES}/held`, {
    metadata: { finalizers: ['longhorn.io', 'example.io/x'] },
  }),
  patch('take the finalizer of the volume off', 'json', `${VOLUMES}/held`, [
    { op: 'remove', path: '/metadata/finalizers' },
  ]),
  get('get the volume that is gone', `${VOLUMES}/held`),
  post('create a dependent of the volume', MAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'dependent',
      ownerReferences: [
        { apiVersion: 'longhorn.io/v1beta2', kind: 'Volume', name: 'v', uid: '{{uidV}}', blockOwnerDeletion: true },
      ],
    },
  }),
  remove('delete a volume and its dependents first', `${VOLUMES}/v?propagationPolicy=Foreground`),
  get('the dependent goes', `${MAPS}/dependent`, { until: 404 }),
  get('and then the volume', `${VOLUMES}/v`, { until: 404 }),
  post('create an owner', VOLUMES, volume('owner', {}), { keep: { uidOwner: 'metadata.uid' } }),
  post('create what it owns', MAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'owned',
      ownerReferences: [{ apiVersion: 'longhorn.io/v1beta2', kind: 'Volume', name: 'owner', uid: '{{uidOwner}}' }],
    },
  }),
  remove('delete the owner', `${VOLUMES}/owner`, { propagationPolicy: 'Background' }),
  get('what it owned goes, too', `${MAPS}/owned`, { until: 404 }),
  remove('delete a custom object that is not there', `${VOLUMES}/missing`),
  remove('delete a job', `${JOBS}/j`),
  remove('delete all settings', SETTINGS),
];

const GADGETS = '/apis/compare.example.io/v1/namespaces/{{ns}}/gadgets';
const gadget = (name: string, spec: object): object => ({
  apiVersion: 'compare.example.io/v1',
  kind: 'Gadget',
  metadata: { name },
  spec,
});
const definition = (rest: object = {}, properties: object = {}): object => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'gadgets.compare.example.io' },
  spec: {
    group: 'compare.example.io',
    scope: 'Namespaced',
    names: { plural: 'gadgets', singular: 'gadget', kind: 'Gadget' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                required: ['size'],
                properties: {
                  size: { type: 'integer', minimum: 1, maximum: 10 },
                  mode: { type: 'string', default: 'slow', enum: ['slow', 'fast'] },
                  name: { type: 'string', minLength: 2, maxLength: 4, pattern: '^[a-z]+$' },
                  parts: {
                    type: 'array',
                    maxItems: 2,
                    items: { type: 'object', properties: { id: { type: 'string' } }, required: ['id'] },
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['id'],
                  },
                  free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  maybe: { type: 'string', nullable: true },
                  when: { type: 'string', format: 'date-time' },
                  ...properties,
                },
              },
            },
          },
        },
      },
    ],
    ...rest,
  },
});

const DEFINITION: readonly ApiRequest[] = [
  post('create a definition without versions', DEFINITIONS, definition({ versions: [] })),
  post('create a definition with a wrong name', DEFINITIONS, {
    ...definition(),
    metadata: { name: 'gadgets.elsewhere.io' },
  }),
  post('create a definition of an unknown scope', DEFINITIONS, definition({ scope: 'Planet' })),
  post('create a definition', DEFINITIONS, definition()),
  get('its kind is served', GADGETS, { until: 200 }),
  get('get the definition', `${DEFINITIONS}/gadgets.compare.example.io`),
  post(
    'create a gadget',
    GADGETS,
    gadget('g', { size: 1, free: { any: { thing: 1 } }, maybe: null, parts: [{ id: 'a' }] }),
  ),
  post('create a gadget without what is required', GADGETS, gadget('x', {})),
  post('create a gadget below the minimum', GADGETS, gadget('x', { size: 0 })),
  post('create a gadget above the maximum', GADGETS, gadget('x', { size: 11 })),
  post('create a gadget with a short name', GADGETS, gadget('x', { size: 1, name: 'a' })),
  post('create a gadget with a long name', GADGETS, gadget('x', { size: 1, name: 'abcde' })),
  post('create a gadget against the pattern', GADGETS, gadget('x', { size: 1, name: 'AB' })),
  post(
    'create a gadget with many parts',
    GADGETS,
    gadget('x', { size: 1, parts: [{ id: 'a' }, { id: 'b' }, { id: 'c' }] }),
  ),
  post('create a gadget with a part twice', GADGETS, gadget('x', { size: 1, parts: [{ id: 'a' }, { id: 'a' }] })),
  post('create a gadget with a part without its key', GADGETS, gadget('x', { size: 1, parts: [{}] })),
  post('create a gadget with a wrong time', GADGETS, gadget('x', { size: 1, when: 'soon' })),
  post('create a gadget in a wrong mode', GADGETS, gadget('x', { size: 1, mode: 'warp' })),
  get('get the status of a kind without one', `${GADGETS}/g/status`),
  get('get a gadget as a table', `${GADGETS}/g`, { headers: TABLE }),
  patch('add a field to the definition', 'json', `${DEFINITIONS}/gadgets.compare.example.io`, [
    {
      op: 'add',
      path: '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/added',
      value: { type: 'string' },
    },
  ]),
  remove('delete the definition', `${DEFINITIONS}/gadgets.compare.example.io`),
  get('its kind is served no more', GADGETS, { until: 404 }),
];

export const CUSTOM_RESOURCES: readonly ApiRequest[] = [...SCHEMA, ...READ, ...STATUS, ...DELETION, ...DEFINITION];
