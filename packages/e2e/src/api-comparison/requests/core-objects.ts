/** ConfigMaps: what holds for every kind. */
import { get, METADATA, METADATA_LIST, patch, post, put, remove, TABLE, type ApiRequest } from '../request.ts';

const MAPS = '/api/v1/namespaces/{{ns}}/configmaps';
const map = (name: string, rest: object = {}, metadata: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, ...metadata },
  ...rest,
});
const labelled = (name: string, labels: object): object => map(name, {}, { labels });

const CREATE: readonly ApiRequest[] = [
  post('create a map', MAPS, map('a', { data: { x: '1' } }), {
    keep: { uidA: 'metadata.uid', versionA: 'metadata.resourceVersion' },
  }),
  post('create it again', MAPS, map('a')),
  post('create with generateName', MAPS, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { generateName: 'generated-' },
  }),
  post('create without a name', MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: {} }),
  post('create with an upper case name', MAPS, map('Upper')),
  post('create with a name with a slash', MAPS, map('a/b')),
  post('create with a name of 300 letters', MAPS, map('a'.repeat(300))),
  post('create with a resourceVersion', MAPS, map('x', {}, { resourceVersion: '5' })),
  post('create with a uid of its own', MAPS, map('own-uid', {}, { uid: 'mine', creationTimestamp: null })),
  post('create in a namespace that is not there', '/api/v1/namespaces/nowhere/configmaps', map('x')),
  post('create with a label that is none', MAPS, labelled('x', { 'not valid': 'x' })),
  post('create with a label value that is none', MAPS, labelled('x', { a: 'not valid' })),
  post('create with an annotation that is none', MAPS, map('x', {}, { annotations: { 'not valid': 'x' } })),
  post('create with a label that is a number', MAPS, labelled('x', { a: 5 })),
  post('create with labels that are a list', MAPS, map('x', {}, { labels: [] })),
  post('create with a finalizer that is none', MAPS, map('x', {}, { finalizers: ['not valid'] })),
  post(
    'create with an owner without uid',
    MAPS,
    map('x', {}, { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'a' }] }),
  ),
  post('create with data that is a number', MAPS, map('x', { data: { a: 5 } })),
  post('create with an unknown field, strictly', `${MAPS}?fieldValidation=Strict`, map('x', { nothing: 1 })),
  post('create with an unknown field, with a warning', `${MAPS}?fieldValidation=Warn`, map('warned', { nothing: 1 })),
  post('create with an unknown field, ignored', `${MAPS}?fieldValidation=Ignore`, map('ignored', { nothing: 1 })),
  post('create with a fieldValidation that is none', `${MAPS}?fieldValidation=Perhaps`, map('x')),
  post('create as a dry run', `${MAPS}?dryRun=All`, map('dry')),
  get('what a dry run left', `${MAPS}/dry`),
  post('create as a dry run of another kind', `${MAPS}?dryRun=Some`, map('x')),
  post('create a second one as a dry run', `${MAPS}?dryRun=All`, map('a')),
  post('create with labels', MAPS, labelled('b', { app: 'one', tier: 'x' })),
  post('create with other labels', MAPS, labelled('c', { app: 'two' })),
  post('create one that cannot change', MAPS, map('fixed', { data: { x: '1' }, immutable: true })),
];

const READ: readonly ApiRequest[] = [
  get('get a map', `${MAPS}/a`),
  get('get one that is not there', `${MAPS}/missing`),
  get('get as a table', `${MAPS}/a`, { headers: TABLE }),
  get('get metadata only', `${MAPS}/a`, { headers: METADATA }),
  get('list by a label', `${MAPS}?labelSelector=app%3Done`),
  get('list by a set of labels', `${MAPS}?labelSelector=app%20in%20(one,two)`),
  get('list without a label', `${MAPS}?labelSelector=app,!tier`),
  get('list by not equal', `${MAPS}?labelSelector=app,app!%3Done`),
  get('list by name', `${MAPS}?fieldSelector=metadata.name%3Da`),
  get('list by name, all namespaces', '/api/v1/configmaps?fieldSelector=metadata.name%3Dc,metadata.namespace%3D{{ns}}'),
  get('list the first page', `${MAPS}?labelSelector=app&limit=1`, { keep: { token: 'metadata.continue' } }),
  get('list the second page', `${MAPS}?labelSelector=app&limit=1&continue={{token}}`),
  get('list as a table', `${MAPS}?labelSelector=app`, { headers: TABLE }),
  get('list metadata only', `${MAPS}?labelSelector=app`, { headers: METADATA_LIST }),
  get('list a namespace that is not there', '/api/v1/namespaces/nowhere/configmaps'),
];

const UPDATE: readonly ApiRequest[] = [
  put('update a map', `${MAPS}/a`, map('a', { data: { x: '2' } }), { keep: { versionA2: 'metadata.resourceVersion' } }),
  put('update without a change', `${MAPS}/a`, map('a', { data: { x: '2' } })),
  put('update an old version', `${MAPS}/a`, map('a', {}, { resourceVersion: '{{versionA}}' })),
  put('update with another uid', `${MAPS}/a`, map('a', {}, { uid: 'other' })),
  put('update with another name', `${MAPS}/a`, map('b')),
  put('update with another namespace', `${MAPS}/a`, map('a', {}, { namespace: 'elsewhere' })),
  put('update one that is not there', `${MAPS}/missing`, map('missing')),
  put('update one that cannot change', `${MAPS}/fixed`, map('fixed', { data: { x: '2' }, immutable: true })),
  put('update as a dry run', `${MAPS}/a?dryRun=All`, map('a', { data: { x: 'dry' } })),
  put('update with a label that is none', `${MAPS}/a`, labelled('a', { 'not valid': 'x' })),
];

const PATCH: readonly ApiRequest[] = [
  patch('merge patch', 'merge', `${MAPS}/a`, { data: { y: '3' }, metadata: { labels: { l: 'm' } } }),
  patch('merge patch that removes', 'merge', `${MAPS}/a`, { data: { x: null } }),
  patch('merge patch without a change', 'merge', `${MAPS}/a`, { data: { y: '3' } }),
  patch('merge patch of an old version', 'merge', `${MAPS}/a`, { metadata: { resourceVersion: '{{versionA}}' } }),
  patch('merge patch of another uid', 'merge', `${MAPS}/a`, { metadata: { uid: 'other' } }),
  patch('merge patch of the name', 'merge', `${MAPS}/a`, { metadata: { name: 'b' } }),
  patch('merge patch of one that is not there', 'merge', `${MAPS}/missing`, { data: {} }),
  patch('merge patch that is no JSON', 'merge', `${MAPS}/a`, '{'),
  patch('merge patch of a wrong type', 'merge', `${MAPS}/a`, { data: 'text' }),
  patch('merge patch of an unknown field, strictly', 'merge', `${MAPS}/a?fieldValidation=Strict`, { nothing: 1 }),
  patch('json patch', 'json', `${MAPS}/a`, [{ op: 'add', path: '/data/z', value: '4' }]),
  patch('json patch with a test that holds', 'json', `${MAPS}/a`, [
    { op: 'test', path: '/data/z', value: '4' },
    { op: 'replace', path: '/data/z', value: '5' },
  ]),
  patch('json patch with a test that fails', 'json', `${MAPS}/a`, [{ op: 'test', path: '/data/z', value: '9' }]),
  patch('json patch that removes what is not there', 'json', `${MAPS}/a`, [{ op: 'remove', path: '/data/nothing' }]),
  patch('json patch into what is not there', 'json', `${MAPS}/a`, [{ op: 'add', path: '/no/where', value: 1 }]),
  patch('json patch that replaces what is not there', 'json', `${MAPS}/a`, [
    { op: 'replace', path: '/data/nothing', value: '1' },
  ]),
  patch('json patch of an unknown operation', 'json', `${MAPS}/a`, [{ op: 'turn', path: '/data/z' }]),
  patch('json patch that is an object', 'json', `${MAPS}/a`, {}),
  patch('json patch that copies and moves', 'json', `${MAPS}/a`, [
    { op: 'copy', from: '/data/z', path: '/data/copy' },
    { op: 'move', from: '/data/copy', path: '/data/moved' },
  ]),
  patch('strategic merge patch', 'strategic', `${MAPS}/a`, { data: { s: '1', z: null } }),
  patch(
    'patch of an unknown media type',
    'merge',
    `${MAPS}/a`,
    {},
    { headers: { 'content-type': 'application/json' } },
  ),
  patch('patch as a dry run', 'merge', `${MAPS}/a?dryRun=All`, { data: { dry: '1' } }),
];

const APPLY: readonly ApiRequest[] = [
  patch('apply without a manager', 'apply', `${MAPS}/applied`, map('applied')),
  patch('apply a new one', 'apply', `${MAPS}/applied?fieldManager=one`, map('applied', { data: { a: '1', b: '1' } })),
  patch('apply it again', 'apply', `${MAPS}/applied?fieldManager=one`, map('applied', { data: { a: '1', b: '1' } })),
  patch('apply with less', 'apply', `${MAPS}/applied?fieldManager=one`, map('applied', { data: { a: '1' } })),
  patch(
    'apply against another manager',
    'apply',
    `${MAPS}/applied?fieldManager=two`,
    map('applied', { data: { a: '2' } }),
  ),
  patch(
    'apply the same as another manager',
    'apply',
    `${MAPS}/applied?fieldManager=two`,
    map('applied', { data: { a: '1' } }),
  ),
  patch(
    'apply with force',
    'apply',
    `${MAPS}/applied?fieldManager=two&force=true`,
    map('applied', { data: { a: '2' } }),
  ),
  patch('merge patch of what somebody applied', 'merge', `${MAPS}/applied`, { data: { a: '3' } }),
  patch('apply over a plain write', 'apply', `${MAPS}/applied?fieldManager=two`, map('applied', { data: { a: '2' } })),
  patch('apply with another name', 'apply', `${MAPS}/applied?fieldManager=one`, map('other')),
  patch('apply without kind', 'apply', `${MAPS}/applied?fieldManager=one`, { apiVersion: 'v1' }),
  patch(
    'apply with managedFields',
    'apply',
    `${MAPS}/applied?fieldManager=one`,
    map('applied', {}, { managedFields: [{}] }),
  ),
  patch('apply something that is no YAML', 'apply', `${MAPS}/applied?fieldManager=one`, '{'),
  patch(
    'apply with an unknown field, strictly',
    'apply',
    `${MAPS}/applied?fieldManager=one&fieldValidation=Strict`,
    map('applied', { nothing: 1 }),
  ),
];

const WATCH: readonly ApiRequest[] = [
  get(
    'watch what has happened since',
    `${MAPS}?watch=1&resourceVersion={{versionA}}&fieldSelector=metadata.name%3Da&timeoutSeconds=3`,
    { lines: 4 },
  ),
  get(
    'watch through a selector',
    `${MAPS}?watch=1&resourceVersion={{versionA}}&labelSelector=app%3Done&timeoutSeconds=3`,
    { lines: 1 },
  ),
  get(
    'watch with initial events',
    `${MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector=metadata.name%3Da&timeoutSeconds=10`,
    { lines: 2 },
  ),
  get('watch one by name', `${MAPS}/a?watch=1&timeoutSeconds=3`, { lines: 1 }),
  get(
    'watch as a table',
    `${MAPS}?watch=1&resourceVersion={{versionA}}&fieldSelector=metadata.name%3Da&timeoutSeconds=3`,
    { lines: 1, headers: TABLE },
  ),
  get(
    'watch metadata only',
    `${MAPS}?watch=1&resourceVersion={{versionA}}&fieldSelector=metadata.name%3Da&timeoutSeconds=3`,
    { lines: 1, headers: METADATA },
  ),
  get('watch by the old path', '/api/v1/watch/namespaces/{{ns}}/configmaps/a?timeoutSeconds=3', { lines: 1 }),
  get('watch a future version', `${MAPS}?watch=1&resourceVersion=9999999999&timeoutSeconds=1`, { lines: 1 }),
];

const DELETE: readonly ApiRequest[] = [
  remove('delete with another uid', `${MAPS}/b`, { preconditions: { uid: 'other' } }),
  remove('delete with an old version', `${MAPS}/b`, { preconditions: { resourceVersion: '1' } }),
  remove('delete with a policy that is none', `${MAPS}/b?propagationPolicy=Perhaps`),
  remove('delete with two policies', `${MAPS}/b`, { propagationPolicy: 'Orphan', orphanDependents: true }),
  remove('delete as a dry run', `${MAPS}/b?dryRun=All`),
  get('what a dry deletion left', `${MAPS}/b`),
  remove('delete a map', `${MAPS}/b`),
  remove('delete it again', `${MAPS}/b`),
  remove('delete with its uid', `${MAPS}/a`, {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    preconditions: { uid: '{{uidA}}' },
  }),
  remove('delete with a body that is no JSON', `${MAPS}/c`, '{'),
  post('create one with a finalizer', MAPS, map('held', {}, { finalizers: ['example.io/hold'] })),
  remove('delete one with a finalizer', `${MAPS}/held`),
  remove('delete one that is being deleted', `${MAPS}/held`),
  patch('add a finalizer to one that is being deleted', 'merge', `${MAPS}/held`, {
    metadata: { finalizers: ['example.io/hold', 'example.io/more'] },
  }),
  patch('change one that is being deleted', 'merge', `${MAPS}/held`, { data: { a: 'b' } }),
  patch('take its finalizer off', 'merge', `${MAPS}/held`, { metadata: { finalizers: null } }),
  get('get one whose finalizer went', `${MAPS}/held`),
  remove('delete all with a label', `${MAPS}?labelSelector=app`),
  get('list what is left of them', `${MAPS}?labelSelector=app`),
];

export const CORE_OBJECTS: readonly ApiRequest[] = [
  ...CREATE,
  ...READ,
  ...UPDATE,
  ...PATCH,
  ...APPLY,
  ...WATCH,
  ...DELETE,
];
