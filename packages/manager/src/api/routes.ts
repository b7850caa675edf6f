/** The routes of the API: what is asked for, and what is answered. */
import {
  isRestSchemaId,
  isSettingName,
  normalizeSetting,
  REST_SCHEMA_IDS,
  restCollectionPath,
  restPlural,
  schemaResource,
  schemaResources,
  validateSetting,
  type RestSchemaId,
} from '@longhorn/shared-types';
import type { ApiContext } from './api-context.ts';
import { LISTS, NOT_BUILT_PATHS } from './lists.ts';
import { checkedName, createObject, deleteObject } from './object-writes.ts';
import type { RequestUrl } from './request-url.ts';
import {
  engineImageView,
  instanceManagerView,
  nodeView,
  orphanView,
  settingView,
  volumeAttachmentView,
} from './resource-views.ts';
import { notFound, notSupported, RestFault, wrapped } from './rest-fault.ts';
import { readInput, readResource } from './rest-input.ts';
import { collectionJson, resourceJson, type Rendered } from './rest-output.ts';
import { SNAPSHOT_ACTIONS } from './snapshot-actions.ts';
import { VOLUME_ACTIONS } from './volume-actions.ts';
import { createVolume } from './volume-create.ts';
import { volumeFamily, volumeView } from './volume-view.ts';
import { engineImageName } from '@longhorn/shared-types';

/** A request as the handlers see it. */
export interface ApiRequest {
  params: Readonly<Record<string, string>>;
  action: string;
  body: unknown;
  url: RequestUrl;
}

/** JSON, or a status without a body. */
export type Answer = { json: Record<string, unknown> } | { status: number };

export type Handler = (context: ApiContext, request: ApiRequest) => Promise<Answer>;

/** One route. */
export interface Route {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  handler: Handler;
}

const EMPTY: Answer = { status: 200 };

function resource(rendered: Rendered, { url }: ApiRequest): Answer {
  return { json: resourceJson(rendered, url) };
}

function collection(schema: RestSchemaId, items: readonly Rendered[], { url }: ApiRequest): Answer {
  return { json: collectionJson(schema, items, url) };
}

function param(request: ApiRequest, name: string): string {
  return request.params[name] ?? '';
}

const versions: Handler = (_context, { url }) => {
  const version = { id: 'v1', type: 'apiVersion', links: { self: `${url.base}/v1` }, actions: {} };
  return Promise.resolve({
    json: {
      type: 'collection',
      resourceType: 'apiVersion',
      links: { self: url.current, latest: `${url.base}/v1` },
      data: [version],
    },
  });
};

const version: Handler = (_context, { url }) => {
  const collections = REST_SCHEMA_IDS.map((id) => [restPlural(id), `${url.base}${restCollectionPath(id)}`]);
  const links = { ...Object.fromEntries(collections), self: `${url.base}/v1` };
  return Promise.resolve({ json: { id: 'v1', type: 'apiVersion', links, actions: {} } });
};

const schemas: Handler = (_context, { url }) =>
  Promise.resolve({
    json: { type: 'collection', resourceType: 'schema', links: { self: url.current }, data: schemaResources(url.base) },
  });

const schema: Handler = (_context, request) => {
  const wanted = param(request, 'id').toLowerCase();
  const id = REST_SCHEMA_IDS.find((candidate) => candidate.toLowerCase() === wanted);
  // Clients find out by the missing id that there is no such schema.
  if (id === undefined || !isRestSchemaId(id)) {
    return Promise.resolve({ json: { actions: {}, links: { self: request.url.current } } });
  }
  return Promise.resolve({ json: { ...schemaResource(id, request.url.base) } });
};

function listHandler(path: string): Handler {
  return async (context, request) => {
    const list = LISTS.get(path);
    if (list === undefined) throw new Error(`no list ${path}`);
    const items = await wrapped(`failed to list ${list.schema}`, async () => list.items(context));
    return collection(list.schema, items, request);
  };
}

function volumeAnswer(context: ApiContext, name: string, request: ApiRequest): Answer {
  const family = volumeFamily(context, name);
  // Gone between the action and the answer.
  return family === null ? { status: 404 } : resource(volumeView(family), request);
}

const getVolume: Handler = (context, request) =>
  Promise.resolve(volumeAnswer(context, param(request, 'name'), request));

const postVolume: Handler = async (context, request) =>
  volumeAnswer(context, await createVolume(context, request.body), request);

const deleteVolume: Handler = async (context, request) => {
  const name = param(request, 'name');
  await wrapped('failed to delete volume', () =>
    deleteObject(context, 'Volume', 'volume', checkedName('volume', name)),
  );
  return EMPTY;
};

const actOnVolume: Handler = async (context, request) => {
  const name = param(request, 'name');
  const { action, body } = request;
  const change = Object.hasOwn(VOLUME_ACTIONS, action) ? VOLUME_ACTIONS[action] : undefined;
  const onSnapshots = Object.hasOwn(SNAPSHOT_ACTIONS, action) ? SNAPSHOT_ACTIONS[action] : undefined;
  if (change === undefined && onSnapshots === undefined) return { status: 404 };
  const volume =
    context.datastore.store('Volume').get(name) ??
    (await context.datastore.read('Volume', checkedName('volume', name)));
  if (volume === null) throw notFound('volume', name);
  if (change !== undefined) {
    await change(context, volume, body);
    return volumeAnswer(context, name, request);
  }
  const answer = await onSnapshots?.(context, volume, body);
  switch (answer?.kind) {
    case 'resource':
      return resource(answer.resource, request);
    case 'collection':
      return collection(answer.schema, answer.items, request);
    case 'volume':
      return volumeAnswer(context, name, request);
    case 'nothing':
    case undefined:
      return EMPTY;
  }
};

const getNode: Handler = (context, request) => {
  const name = param(request, 'name');
  const node = context.datastore.store('Node').get(name);
  if (node === null) return Promise.reject(notFound('node', name));
  return Promise.resolve(resource(nodeView(context, node), request));
};

const putNode: Handler = async (context, request) => {
  const name = param(request, 'name');
  const input = readResource('node', request.body, [
    'allowScheduling',
    'evictionRequested',
    'tags',
    'instanceManagerCPURequest',
  ]);
  const stored = await wrapped(`failed to update node ${name}`, () =>
    context.datastore.update('Node', name, (node) => ({ ...node, spec: { ...node.spec, ...input } })),
  );
  if (stored === null) throw notFound('node', name);
  return resource(nodeView(context, stored), request);
};

const actOnNode: Handler = async (context, request) => {
  const name = param(request, 'name');
  if (request.action !== 'diskUpdate') return { status: 404 };
  const { disks } = readInput('diskUpdateInput', request.body);
  const stored = await wrapped(`failed to update disks of node ${name}`, () =>
    context.datastore.update('Node', name, (node) => {
      const wanted = Object.entries(disks).map(([disk, input]) => {
        const diskType = input.diskType === 'block' ? ('block' as const) : ('filesystem' as const);
        const diskDriver = (['auto', 'aio', 'nvme'] as const).find((driver) => driver === input.diskDriver) ?? '';
        if (!['', 'filesystem', 'block'].includes(input.diskType)) {
          throw new RestFault(
            `disk ${disk}: diskType must be filesystem or block, it is ${JSON.stringify(input.diskType)}`,
          );
        }
        if (diskDriver !== input.diskDriver) {
          throw new RestFault(
            `disk ${disk}: diskDriver must be auto, aio or nvme, it is ${JSON.stringify(input.diskDriver)}`,
          );
        }
        return [disk, { ...input, diskType, diskDriver }];
      });
      return { ...node, spec: { ...node.spec, disks: Object.fromEntries(wanted) } };
    }),
  );
  if (stored === null) throw notFound('node', name);
  return resource(nodeView(context, stored), request);
};

const deleteNode: Handler = async (context, request) => {
  const name = param(request, 'name');
  await wrapped('failed to delete node', () => deleteObject(context, 'Node', 'node', checkedName('node', name)));
  return EMPTY;
};

function settingName(request: ApiRequest, words: string): Parameters<typeof normalizeSetting>[0] {
  const name = param(request, 'name');
  if (!isSettingName(name)) throw new RestFault(`${words}setting ${name} is not supported`);
  return name;
}

const getSetting: Handler = (context, request) => {
  const words = `failed to get setting ${param(request, 'name')}: `;
  return Promise.resolve().then(() => resource(settingView(context, settingName(request, words)), request));
};

const putSetting: Handler = async (context, request) => {
  const name = settingName(request, '');
  const value = readResource('setting', request.body, ['value']).value.trim();
  const problem = validateSetting(name, value);
  if (problem !== null) throw new RestFault(problem);
  const stored = await wrapped(`failed to update setting ${name}`, () =>
    context.datastore.update('Setting', name, (setting) => {
      const normal = normalizeSetting(name, value);
      return setting.value === normal ? null : { ...setting, value: normal };
    }),
  );
  if (stored === null)
    await wrapped(`failed to update setting ${name}`, () => createObject(context, 'Setting', name, { value }));
  return resource(settingView(context, name), request);
};

const getEngineImage: Handler = (context, request) => {
  const image = context.datastore.store('EngineImage').get(param(request, 'name'));
  if (image === null) return Promise.reject(notFound('engine image', param(request, 'name')));
  return Promise.resolve(resource(engineImageView(context, image), request));
};

const postEngineImage: Handler = async (context, request) => {
  const image = readResource('engineImage', request.body, ['image']).image.trim();
  if (image === '') throw new RestFault('failed to create engine image: image must not be empty');
  const created = await wrapped(`failed to create engine image ${image.slice(0, 100)}`, () =>
    createObject(context, 'EngineImage', engineImageName(image), { spec: { image } }),
  );
  return resource(engineImageView(context, created), request);
};

const deleteEngineImage: Handler = async (context, request) => {
  const name = checkedName('engine image', param(request, 'name'));
  await wrapped('failed to delete engine image', () => context.datastore.delete('EngineImage', name));
  return EMPTY;
};

const getInstanceManager: Handler = (context, request) => {
  const manager = context.datastore.store('InstanceManager').get(param(request, 'name'));
  if (manager === null) return Promise.reject(notFound('instance manager', param(request, 'name')));
  return Promise.resolve(resource(instanceManagerView(manager), request));
};

const getVolumeAttachment: Handler = (context, request) => {
  const attachment = context.datastore.store('VolumeAttachment').get(param(request, 'name'));
  if (attachment === null) return Promise.reject(notFound('volume attachment', param(request, 'name')));
  return Promise.resolve(resource(volumeAttachmentView(attachment), request));
};

const getOrphan: Handler = (context, request) => {
  const orphan = context.datastore.store('Orphan').get(param(request, 'name'));
  if (orphan === null) return Promise.reject(notFound('orphan', param(request, 'name')));
  return Promise.resolve(resource(orphanView(orphan), request));
};

const deleteOrphan: Handler = async (context, request) => {
  const name = param(request, 'name');
  await wrapped('failed to delete orphan', () =>
    deleteObject(context, 'Orphan', 'orphan', checkedName('orphan', name)),
  );
  return EMPTY;
};

function notBuiltRoutes(): Route[] {
  return [...NOT_BUILT_PATHS].flatMap(([path, id]): Route[] => {
    const refuse: Handler = () => Promise.reject(notSupported(`resource ${id}`));
    const missing: Handler = (_context, request) => Promise.reject(notFound(id, param(request, 'name')));
    return [
      { method: 'POST', path: `/v1/${path}`, handler: refuse },
      { method: 'PUT', path: `/v1/${path}`, handler: refuse },
      { method: 'GET', path: `/v1/${path}/:name`, handler: missing },
      { method: 'POST', path: `/v1/${path}/:name`, handler: missing },
      { method: 'DELETE', path: `/v1/${path}/:name`, handler: missing },
    ];
  });
}

/** All routes. */
export function apiRoutes(): Route[] {
  return [
    { method: 'GET', path: '/', handler: versions },
    { method: 'GET', path: '/v1/apiversions', handler: versions },
    { method: 'GET', path: '/v1', handler: version },
    { method: 'GET', path: '/v1/apiversions/v1', handler: version },
    { method: 'GET', path: '/v1/schemas', handler: schemas },
    { method: 'GET', path: '/v1/schemas/:id', handler: schema },
    ...[...LISTS.keys()].map((path): Route => ({ method: 'GET', path: `/v1/${path}`, handler: listHandler(path) })),
    { method: 'POST', path: '/v1/volumes', handler: postVolume },
    { method: 'GET', path: '/v1/volumes/:name', handler: getVolume },
    { method: 'POST', path: '/v1/volumes/:name', handler: actOnVolume },
    { method: 'DELETE', path: '/v1/volumes/:name', handler: deleteVolume },
    { method: 'GET', path: '/v1/nodes/:name', handler: getNode },
    { method: 'PUT', path: '/v1/nodes/:name', handler: putNode },
    { method: 'POST', path: '/v1/nodes/:name', handler: actOnNode },
    { method: 'DELETE', path: '/v1/nodes/:name', handler: deleteNode },
    { method: 'GET', path: '/v1/settings/:name', handler: getSetting },
    { method: 'PUT', path: '/v1/settings/:name', handler: putSetting },
    { method: 'GET', path: '/v1/engineimages/:name', handler: getEngineImage },
    { method: 'POST', path: '/v1/engineimages', handler: postEngineImage },
    { method: 'DELETE', path: '/v1/engineimages/:name', handler: deleteEngineImage },
    { method: 'GET', path: '/v1/instancemanagers/:name', handler: getInstanceManager },
    { method: 'GET', path: '/v1/volumeattachments/:name', handler: getVolumeAttachment },
    { method: 'GET', path: '/v1/orphans/:name', handler: getOrphan },
    { method: 'DELETE', path: '/v1/orphans/:name', handler: deleteOrphan },
    ...notBuiltRoutes(),
  ];
}
