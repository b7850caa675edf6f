/** The lists of the API, by the last part of their path; HTTP and the web sockets show the same. */
import { isSettingName, REST_SCHEMA_IDS, restPlural, SETTINGS, type RestSchemaId } from '@longhorn/shared-types';
import { EVENT_RESOURCE } from '../datastore/core-kinds.ts';
import type { CachedKind } from '../datastore/datastore.ts';
import { byName, type ApiContext } from './api-context.ts';
import {
  engineImageView,
  eventView,
  instanceManagerView,
  nodeView,
  orphanView,
  settingView,
  volumeAttachmentView,
} from './resource-views.ts';
import { render, type Rendered } from './rest-output.ts';
import { volumeFamily, volumeView } from './volume-view.ts';

/** A list, and the kinds whose changes change it. */
export interface RestList {
  schema: RestSchemaId;
  sources: readonly CachedKind[];
  items: (context: ApiContext) => Rendered[] | Promise<Rendered[]>;
}

function tags(type: 'disk' | 'node', context: ApiContext): Rendered<'tag'>[] {
  const nodes = byName(context.datastore.store('Node').list());
  const all = nodes.flatMap((node) =>
    type === 'node' ? node.spec.tags : Object.values(node.spec.disks).flatMap((disk) => disk.tags),
  );
  return [...new Set(all)].map((tag) => render('tag', tag, { name: tag, tagType: type }));
}

async function events({ datastore }: ApiContext): Promise<Rendered<'event'>[]> {
  const { items } = await datastore.transport.list(EVENT_RESOURCE, datastore.namespace);
  return items
    .filter(({ involvedObject }) => {
      const isObject = typeof involvedObject === 'object' && involvedObject !== null;
      return isObject && Reflect.get(involvedObject, 'apiVersion') === 'longhorn.io/v1beta2';
    })
    .map(eventView);
}

function of(schema: RestSchemaId, sources: readonly CachedKind[], items: RestList['items']): RestList {
  return { schema, sources, items };
}

const BUILT: Readonly<Record<string, RestList>> = {
  volumes: of('volume', ['Volume', 'Engine', 'Replica', 'VolumeAttachment'], (context) =>
    byName(context.datastore.store('Volume').list()).flatMap(({ metadata }) => {
      const family = volumeFamily(context, metadata.name);
      return family === null ? [] : [volumeView(family)];
    }),
  ),
  settings: of('setting', ['Setting'], (context) =>
    Object.keys(SETTINGS)
      .filter(isSettingName)
      .toSorted()
      .map((name) => settingView(context, name)),
  ),
  nodes: of('node', ['Node'], (context) =>
    byName(context.datastore.store('Node').list()).map((node) => nodeView(context, node)),
  ),
  engineimages: of('engineImage', ['EngineImage', 'Setting'], (context) =>
    byName(context.datastore.store('EngineImage').list()).map((image) => engineImageView(context, image)),
  ),
  instancemanagers: of('instanceManager', ['InstanceManager'], ({ datastore }) =>
    byName(datastore.store('InstanceManager').list()).map(instanceManagerView),
  ),
  volumeattachments: of('volumeAttachment', ['VolumeAttachment'], ({ datastore }) =>
    byName(datastore.store('VolumeAttachment').list()).map(volumeAttachmentView),
  ),
  orphans: of('orphan', ['Orphan'], ({ datastore }) => byName(datastore.store('Orphan').list()).map(orphanView)),
  events: of('event', [], events),
  disktags: of('tag', ['Node'], (context) => tags('disk', context)),
  nodetags: of('tag', ['Node'], (context) => tags('node', context)),
};

/** Resources whose kinds are not built: their lists are there, and empty. */
const NOT_BUILT = [
  'recurringJob',
  'backingImage',
  'backupBackingImage',
  'backupTarget',
  'backupVolume',
  'backup',
  'systemBackup',
  'systemRestore',
  'supportBundle',
] as const satisfies readonly RestSchemaId[];

/** Path of a not built resource to its schema id. */
export const NOT_BUILT_PATHS: ReadonlyMap<string, RestSchemaId> = new Map(
  REST_SCHEMA_IDS.filter((id) => NOT_BUILT.some((other) => other === id)).map((id) => [
    restPlural(id).toLowerCase(),
    id,
  ]),
);

/** Path to list. */
export const LISTS: ReadonlyMap<string, RestList> = new Map([
  ...Object.entries(BUILT),
  ...[...NOT_BUILT_PATHS].map(([path, id]): [string, RestList] => [path, of(id, [], () => [])]),
]);

/** Lists that a web socket shows. */
export const STREAMS: readonly string[] = [
  'settings',
  'volumes',
  'recurringjobs',
  'orphans',
  'nodes',
  'engineimages',
  'backingimages',
  'backupbackingimages',
  'backuptargets',
  'backupvolumes',
  'backups',
  'systembackups',
  'systemrestores',
  'volumeattachments',
  'events',
];
