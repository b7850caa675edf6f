import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newObject, REST_SCHEMA_IDS, type CrdObjects } from '@longhorn/shared-types';
import { AdmittedApi } from '../../test/admitted-api.ts';
import { systemClock } from '../clock.ts';
import { decodeKubeNode } from '../datastore/core-kinds.ts';
import { Datastore, resourceOf, type CachedKind } from '../datastore/datastore.ts';
import type { EventRecord } from '../datastore/event-recorder.ts';
import { InstanceManagers } from '../instance-client/instance-managers.ts';
import { startApiServer, type ApiServer } from './api-server.ts';

const NS = 'longhorn-system';
const ENGINE_IMAGE = 'longhornio/longhorn-engine:v1.10.1';
const log = pino({ level: 'silent' });

/** JSON that is looked into freely. */
interface Json {
  [key: string]: Json;
}

interface Reply {
  status: number;
  json: Json;
  text: string;
}

let api: AdmittedApi;
let datastore: Datastore;
let managers: InstanceManagers;
let server: ApiServer;
let recorded: ({ of: string } & EventRecord)[];

async function call(method: string, path: string, body?: object | string): Promise<Reply> {
  const sent = typeof body === 'object' ? JSON.stringify(body) : body;
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    method,
    redirect: 'manual',
    ...(sent === undefined ? {} : { body: sent }),
  });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith('{') ? JSON.parse(text) : {} };
}

/** Puts an object in place, status and all. */
async function have<K extends CachedKind>(
  kind: K,
  name: string,
  change: (object: CrdObjects[K]) => void,
): Promise<void> {
  const object = newObject(kind, NS, name);
  change(object);
  const { metadata: _metadata, ...fields } = object;
  await api.create(resourceOf(kind), NS, { ...fields, metadata: { name, namespace: NS } });
}

function condition(type: string, status: string): CrdObjects['Volume']['status']['conditions'][number] {
  return { type, status, reason: '', message: '', lastProbeTime: '', lastTransitionTime: '' };
}

async function setVolume(name: string, change: (volume: CrdObjects['Volume']) => void): Promise<void> {
  await datastore.update('Volume', name, (volume) => {
    change(volume);
    return volume;
  });
}

beforeEach(async () => {
  recorded = [];
  api = new AdmittedApi(() => Date.parse('2026-11-21T12:00:00Z'));
  datastore = new Datastore({ transport: api, namespace: NS, clock: systemClock, log });
  await have('Setting', 'default-engine-image', (setting) => (setting.value = ENGINE_IMAGE));
  for (const name of ['node-1', 'node-2']) {
    await have('Node', name, ({ spec, status }) => {
      Object.assign(spec, { name, allowScheduling: true });
      status.conditions = [condition('Ready', 'True')];
    });
  }
  await have('EngineImage', 'ei-3154f3aa', ({ spec, status }) => {
    spec.image = ENGINE_IMAGE;
    Object.assign(status, { state: 'deployed', nodeDeploymentMap: { 'node-1': true, 'node-2': true } });
  });
  api.datastore = datastore;
  await datastore.start();
  managers = new InstanceManagers(null);
  const randomHex = (digits: number): string => '0123456789abcdef'.repeat(4).slice(0, digits);
  server = await startApiServer({
    datastore,
    managers,
    host: '127.0.0.1',
    port: 0,
    clock: systemClock,
    log,
    events: { record: (_component, { metadata }, event) => recorded.push({ of: metadata.name, ...event }) },
    randomHex,
  });
});

afterEach(async () => {
  await server.stop();
  managers.close();
  await datastore.stop();
});

describe('discovery', () => {
  it('lists versions, collections and schemas with links that clients can follow', async () => {
    const base = `http://127.0.0.1:${server.port}`;
    expect((await call('GET', '/')).json).toMatchObject({
      resourceType: 'apiVersion',
      links: { latest: `${base}/v1` },
    });
    expect((await call('GET', '/v1')).json['links']).toMatchObject({
      volumes: `${base}/v1/volumes`,
      engineImages: `${base}/v1/engineimages`,
    });
    const schemas = (await call('GET', '/v1/schemas')).json;
    expect(schemas['data']).toHaveLength(REST_SCHEMA_IDS.length);
    expect((await call('GET', '/v1/schemas/VOLUME')).json).toMatchObject({
      id: 'volume',
      links: { collection: `${base}/v1/volumes` },
    });
    expect((await call('GET', '/v1/schemas/nothing')).json).toEqual({
      actions: {},
      links: { self: `${base}/v1/schemas/nothing` },
    });
  });

  it('has a list for every resource, empty where the kind is not built', async () => {
    for (const path of [
      'volumes',
      'nodes',
      'settings',
      'engineimages',
      'instancemanagers',
      'events',
      'orphans',
      'volumeattachments',
      'disktags',
      'nodetags',
    ]) {
      expect((await call('GET', `/v1/${path}`)).json).toMatchObject({ type: 'collection', data: expect.any(Array) });
    }
    for (const path of [
      'recurringjobs',
      'backuptargets',
      'backupvolumes',
      'backingimages',
      'systembackups',
      'systemrestores',
      'supportbundles',
    ]) {
      expect((await call('GET', `/v1/${path}`)).json).toMatchObject({ data: [] });
      expect((await call('POST', `/v1/${path}`, {})).json).toMatchObject({
        type: 'error',
        message: expect.stringContaining('is not supported yet'),
      });
    }
  });

  it('answers odd requests as upstream does', async () => {
    expect(await call('GET', '/v1/nothing')).toMatchObject({ status: 404, text: '404 page not found\n' });
    expect(await call('OPTIONS', '/v1/volumes')).toMatchObject({ status: 405, text: '' });
    expect(await call('GET', '/v1/volumes/')).toMatchObject({ status: 301 });
    expect(await call('GET', '/v1/volumes/none')).toMatchObject({ status: 404, text: '' });
    expect(await call('POST', '/v1/volumes/none?action=attach', {})).toMatchObject({
      status: 404,
      json: { type: 'error', status: 404, code: 'Not Found' },
    });
    expect(await call('GET', '/v1/ws/volumes')).toMatchObject({ status: 400 });
    expect(await call('POST', '/v1/volumes', 'x'.repeat(1024 * 1024 + 1))).toMatchObject({ status: 413 });
  });
});

describe('volumes', () => {
  it('are created from what is said, in any case of the keys, and shown in full', async () => {
    const created = await call('POST', '/v1/volumes', {
      Name: 'vol-1',
      SIZE: '2Gi',
      numberOfReplicas: 2,
      links: {},
      unknown: 1,
    });
    expect(created.status).toBe(200);
    expect(created.json).toMatchObject({
      id: 'vol-1',
      type: 'volume',
      name: 'vol-1',
      size: '2147483648',
      numberOfReplicas: 2,
      frontend: 'blockdev',
      image: ENGINE_IMAGE,
      created: '2026-11-21 12:00:00 +0000 UTC',
      replicas: [],
      controllers: [],
      conditions: {},
      blockedBy: [],
      links: { self: `http://127.0.0.1:${server.port}/v1/volumes/vol-1` },
    });
    expect(Object.keys(created.json)).toEqual(Object.keys(created.json).toSorted());
    expect((await call('GET', '/v1/volumes')).json['data']).toEqual([created.json]);
  });

  it.each([
    ['0', '2097152'],
    ['-5', '2097152'],
    ['2097153', '4194304'],
    ['', '10737418240'],
    ['1.5Gi', '1610612736'],
  ])('of size %j get size %s', async (size, expected) => {
    expect((await call('POST', '/v1/volumes', { name: 'vol-1', size })).json).toMatchObject({ size: expected });
  });

  it.each<[object, string]>([
    [{ size: '9223372036854775808' }, 'size must be below 2^63 bytes'],
    [{ size: 'big' }, 'failed to parse size big'],
    [{ size: 5 }, 'cannot unmarshal number into field size of type string'],
    [{ numberOfReplicas: 21 }, 'replica count value 21 must between 1 to 20'],
    [{ numberOfReplicas: -1 }, 'replica count value -1 must between 1 to 20'],
    [{ numberOfReplicas: 1.5 }, 'cannot unmarshal number into field numberOfReplicas of type int'],
    [{ name: 'a/b' }, 'volume name "a/b" is not valid'],
    [{ name: '..' }, 'volume name ".." is not valid'],
    [{ name: '' }, 'volume name "" is not valid'],
    [{ diskSelector: ['fast'] }, 'specified disk tag fast does not exist'],
    [{ nodeSelector: ['fast'] }, 'specified node tag fast does not exist'],
    [{ standby: true, fromBackup: 'x' }, 'standby volumes are not supported yet'],
    [{ fromBackup: 's3://x' }, 'spec.fromBackup is not supported yet'],
    [{ accessMode: 'rwx' }, 'spec.accessMode "rwx" is not supported yet'],
    [{ dataLocality: 'near' }, 'invalid data locality mode'],
    [{ dataEngine: 'v2' }, 'v2-data-engine data engine is not enabled'],
  ])('with %j are refused', async (fields, message) => {
    const reply = await call('POST', '/v1/volumes', { name: 'vol-1', size: '2Gi', ...fields });
    expect(reply.status).toBe(500);
    expect(reply.json['message']).toContain(message);
    expect((await call('GET', '/v1/volumes')).json['data']).toEqual([]);
  });

  it('get a name that fits from one that is too long or upper case, and exist once', async () => {
    expect((await call('POST', '/v1/volumes', { name: 'Vol-1' })).json).toMatchObject({ name: 'vol-1' });
    expect((await call('POST', '/v1/volumes', { name: 'vol-1' })).json['message']).toContain('already exist');
    const long = (await call('POST', '/v1/volumes', { name: 'A'.repeat(250) })).json['name'];
    expect(long).toMatch(/^a{31}-[0-9a-f]{8}$/);
  });

  it('have a warning for parameters that their maker does not know', async () => {
    await call('POST', '/v1/volumes', { name: 'spelt', size: '2Mi', unknownParameters: ['numberOfReplica', 'fsTyp'] });
    await call('POST', '/v1/volumes', { name: 'plain', size: '2Mi' });
    const message = 'StorageClass parameters without effect, check their spelling: numberOfReplica, fsTyp';
    expect(recorded).toEqual([{ of: 'spelt', type: 'Warning', reason: 'UnknownParameters', message }]);
  });

  it('offer their actions by state', async () => {
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    await setVolume('vol-1', ({ status }) => Object.assign(status, { state: 'detached', robustness: 'unknown' }));
    const detached = (await call('GET', '/v1/volumes/vol-1')).json['actions'];
    expect(detached).toHaveProperty('updateAccessMode');
    expect(detached).not.toHaveProperty('snapshotList');
    await setVolume('vol-1', ({ status }) => Object.assign(status, { robustness: 'faulted' }));
    const faulted = (await call('GET', '/v1/volumes/vol-1')).json['actions'];
    expect(Object.keys(faulted!)).toEqual(['attach', 'detach', 'salvage']);
    expect(faulted!['salvage']).toBe(`http://127.0.0.1:${server.port}/v1/volumes/vol-1?action=salvage`);
  });

  it('attach and detach by tickets, even before there is an attachment', async () => {
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    const attached = await call('POST', '/v1/volumes/vol-1?action=attach', {
      hostId: 'node-1',
      disableFrontend: true,
      attachedBy: 'me',
    });
    expect(attached.json['volumeAttachment']).toEqual({
      volume: 'vol-1',
      attachments: {
        '': {
          attachmentID: '',
          attachmentType: 'longhorn-api',
          nodeID: 'node-1',
          parameters: { disableFrontend: 'true', lastAttachedBy: 'me' },
          satisfied: false,
          conditions: [],
        },
      },
    });
    await call('POST', '/v1/volumes/vol-1?action=attach', {
      hostId: 'node-2',
      attachmentID: 'b',
      attacherType: 'csi-attacher',
    });
    const one = await call('POST', '/v1/volumes/vol-1?action=detach');
    expect(Object.keys(one.json['volumeAttachment']!['attachments']!)).toEqual(['b']);
    const none = await call('POST', '/v1/volumes/vol-1?action=detach', { forceDetach: true });
    expect(none.json['volumeAttachment']!['attachments']!).toEqual({});
  });

  it('attach for a pod only where there can be a block device, in words that say the way out', async () => {
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    await datastore.update('Node', 'node-2', (node) => {
      const lacking = {
        ...condition('BlockDeviceAvailable', 'False'),
        message: 'there is no /dev/fuse: modprobe fuse',
      };
      node.status.conditions.push(lacking);
      return node;
    });
    const attach = (attacherType: string): Promise<Reply> =>
      call('POST', '/v1/volumes/vol-1?action=attach', { hostId: 'node-2', attachmentID: 'a', attacherType });
    expect(await attach('csi-attacher')).toMatchObject({
      status: 500,
      json: {
        message:
          'unable to attach volume vol-1 to node-2: no pod can use a volume on node node-2: there is no /dev/fuse: modprobe fuse',
      },
    });
    expect(await attach('longhorn-api')).toMatchObject({ status: 200 });
  });

  it.each([
    [
      'attach',
      { hostId: 'node-9' },
      'unable to attach volume vol-1 to node-9: node "node-9" does not exist, use one of node-1, node-2',
    ],
    ['attach', undefined, 'EOF'],
    ['salvage', { names: [] }, 'invalid volume state to salvage: '],
    ['updateReplicaCount', { replicaCount: 2 }, 'invalid volume state to update replica count'],
    ['updateDataLocality', { dataLocality: 'x' }, 'invalid dataLocality "x", must be one of disabled'],
    ['updateReplicaAutoBalance', { replicaAutoBalance: 5 }, 'cannot unmarshal number'],
    ['updateSnapshotMaxSize', { snapshotMaxSize: '-1' }, 'failed to parse snapshot max size -1'],
    ['updateSnapshotMaxCount', { snapshotMaxCount: 1 }, 'snapshot max count should be between 2 to 250'],
    ['replicaRemove', { name: 'none' }, 'replica "none" not found'],
    ['cancelExpansion', {}, 'volume expansion is not started'],
    ['expand', { size: '20Gi' }, 'invalid volume state to expand: '],
    ['snapshotList', {}, 'cannot get vol-1 volume engine: cannot find engine'],
    ['snapshotRevert', { name: '' }, 'volume and snapshot name required'],
    ['engineUpgrade', { image: 'x' }, 'action engineUpgrade is not supported yet'],
    [
      'offlineReplicaRebuilding',
      { offlineRebuilding: 'enabled' },
      'spec.offlineRebuilding "enabled" is not supported yet',
    ],
  ])('%s with %j is refused with a reason', async (action, body, message) => {
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    const reply = await call('POST', `/v1/volumes/vol-1?action=${action}`, body);
    expect(reply.status).toBeGreaterThanOrEqual(404);
    expect(reply.json['message']).toContain(message);
  });

  it('are changed by actions', async () => {
    await call('POST', '/v1/volumes', { name: 'vol-1', size: '2Gi' });
    await setVolume('vol-1', ({ spec, status }) => {
      spec.nodeID = 'node-1';
      Object.assign(status, {
        state: 'attached',
        currentImage: spec.image,
        conditions: [condition('Scheduled', 'True')],
      });
    });
    expect((await call('POST', '/v1/volumes/vol-1?action=updateReplicaCount', { replicaCount: 2 })).json).toMatchObject(
      { numberOfReplicas: 2 },
    );
    expect(
      (await call('POST', '/v1/volumes/vol-1?action=updateReplicaCount', { replicaCount: 21 })).json['message'],
    ).toContain('must between 1 to 20');
    expect((await call('POST', '/v1/volumes/vol-1?action=expand', { size: '3Gi' })).json).toMatchObject({
      size: '3221225472',
    });
    expect((await call('POST', '/v1/volumes/vol-1?action=expand', { size: '1Gi' })).json).toMatchObject({
      size: '3221225472',
    });
    expect(
      (await call('POST', '/v1/volumes/vol-1?action=updateDataLocality', { dataLocality: 'best-effort' })).json,
    ).toMatchObject({ dataLocality: 'best-effort' });
    expect(
      (await call('POST', '/v1/volumes/vol-1?action=updateSnapshotMaxSize', { snapshotMaxSize: '6Gi' })).json,
    ).toMatchObject({ snapshotMaxSize: '6442450944' });
  });

  it('have their snapshots as objects', async () => {
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    await call('POST', '/v1/volumes', { name: 'vol-2' });
    const made = await call('POST', '/v1/volumes/vol-1?action=snapshotCRCreate', { labels: { a: 'b' } });
    expect(made.json).toMatchObject({
      type: 'snapshotCR',
      name: 'snap-0123456789abcdef',
      volume: 'vol-1',
      createSnapshot: true,
      labels: { a: 'b' },
      size: 0,
    });
    const name = made.json['name'];
    expect((await call('POST', '/v1/volumes/vol-1?action=snapshotCRList', {})).json['data']).toHaveLength(1);
    expect(await call('POST', '/v1/volumes/vol-2?action=snapshotCRGet', { name })).toMatchObject({ status: 404 });
    expect((await call('POST', '/v1/volumes/vol-1?action=snapshotCRDelete', { name })).json).toMatchObject({
      type: 'empty',
    });
    expect((await call('POST', '/v1/volumes/vol-1?action=snapshotCRDelete', { name: 'none' })).json).toMatchObject({
      type: 'empty',
    });
  });

  it('are deleted', async () => {
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    expect(await call('DELETE', '/v1/volumes/vol-1')).toMatchObject({ status: 200, text: '' });
    expect((await call('GET', '/v1/volumes/vol-1')).json).toMatchObject({ state: 'deleting' });
    expect(await call('DELETE', '/v1/volumes/none')).toMatchObject({ status: 404, json: { type: 'error' } });
  });
});

describe('nodes, settings and images', () => {
  it('nodes have the name by which Kubernetes knows them in topologies', async () => {
    const labels = { 'kubernetes.io/hostname': 'host-1.example' };
    datastore.kubeNodes.apply(decodeKubeNode({ metadata: { name: 'node-1', labels } }));
    expect((await call('GET', '/v1/nodes/node-1')).json).toMatchObject({ hostnameLabel: 'host-1.example' });
    expect((await call('GET', '/v1/nodes/node-2')).json).toMatchObject({ hostnameLabel: '' });
  });

  it('nodes are shown, replaced and get disks', async () => {
    const put = await call('PUT', '/v1/nodes/node-1', { allowScheduling: false, tags: ['b', 'a', 'a'] });
    expect(put.json).toMatchObject({
      id: 'node-1',
      allowScheduling: false,
      tags: ['a', 'b'],
      conditions: { Ready: { status: 'True' } },
    });
    const disks = {
      d: { path: '/d', diskType: 'filesystem', allowScheduling: true, storageReserved: 5, tags: ['ssd'] },
    };
    const updated = await call('POST', '/v1/nodes/node-1?action=diskUpdate', { disks });
    expect(updated.json['disks']).toMatchObject({
      d: { path: '/d', storageReserved: 5, tags: ['ssd'], conditions: {}, diskUUID: '' },
    });
    expect((await call('GET', '/v1/disktags')).json['data']).toMatchObject([{ id: 'ssd', tagType: 'disk' }]);
    expect(
      (await call('POST', '/v1/nodes/node-1?action=diskUpdate', { disks: { e: { path: 'rel' } } })).json['message'],
    ).toContain('being syncing and please retry later');
    expect(await call('GET', '/v1/nodes/none')).toMatchObject({ status: 404, json: { type: 'error' } });
    expect((await call('DELETE', '/v1/nodes/node-1')).json['message']).toContain('could not delete node node-1');
  });

  it('settings have their definition, and take values in any form that is right', async () => {
    const shown = await call('GET', '/v1/settings/default-replica-count');
    expect(shown.json).toMatchObject({
      value: '{"v1":"3","v2":"3"}',
      definition: {
        displayName: 'Default Replica Count',
        type: 'int',
        range: { minimum: 1, maximum: 20 },
        dataEngineSpecific: true,
      },
    });
    expect(shown.json['definition']).not.toHaveProperty('options');
    expect((await call('PUT', '/v1/settings/default-replica-count', { value: ' 2 ' })).json).toMatchObject({
      value: '{"v1":"2","v2":"2"}',
    });
    expect((await call('PUT', '/v1/settings/default-replica-count', { value: '4' })).json).toMatchObject({
      value: '{"v1":"4","v2":"4"}',
    });
    expect((await call('PUT', '/v1/settings/default-replica-count', { value: '21' })).json['message']).toContain(
      'default-replica-count with invalid value 21: ',
    );
    expect((await call('PUT', '/v1/settings/none', { value: '1' })).json['message']).toBe(
      'setting none is not supported',
    );
    expect(await call('GET', '/v1/settings/none')).toMatchObject({
      status: 500,
      json: { message: 'failed to get setting none: setting none is not supported' },
    });
    expect((await call('GET', '/v1/settings')).json['data']).toHaveLength(102);
  });

  it('engine images are made and deleted', async () => {
    expect((await call('GET', '/v1/engineimages')).json['data']).toMatchObject([
      { id: 'ei-3154f3aa', default: true, conditions: [] },
    ]);
    expect((await call('POST', '/v1/engineimages', { image: 'other:1' })).json).toMatchObject({
      image: 'other:1',
      default: false,
    });
    expect((await call('DELETE', '/v1/engineimages/ei-3154f3aa')).json['message']).toContain(
      'the default engine image',
    );
    expect(await call('DELETE', '/v1/engineimages/none')).toMatchObject({ status: 200 });
  });
});

describe('foreign pages', () => {
  it.each([
    [{ host: 'evil.example' }, 403],
    [{ origin: 'http://evil.example' }, 403],
    [{ origin: 'http://127.0.0.1:8080' }, 200],
    [{ origin: 'null' }, 403],
    [{ 'x-forwarded-proto': 'https', 'x-forwarded-host': 'ui.example' }, 200],
  ])('with %j get %s', async (headers, status) => {
    const { request } = await import('node:http');
    const answered = await new Promise<number>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: server.port, path: '/v1', headers, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end();
    });
    expect(answered).toBe(status);
  });
});

describe('web sockets', () => {
  function connect(path: string): {
    socket: WebSocket;
    next: () => Promise<Json>;
    closed: Promise<CloseEvent>;
  } {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}`);
    const received: string[] = [];
    const waiting: ((text: string) => void)[] = [];
    socket.addEventListener('message', ({ data }) => {
      const wake = waiting.shift();
      if (wake === undefined) received.push(String(data));
      else wake(String(data));
    });
    const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
    const next = async (): Promise<Json> => {
      const text = received.shift() ?? (await new Promise<string>((resolve) => waiting.push(resolve)));
      return JSON.parse(text);
    };
    return { socket, next, closed };
  }

  it('show a list at once, and to each client again when it has changed', async () => {
    const one = connect('/v1/ws/volumes');
    const two = connect('/v1/ws/100ms/volumes');
    expect(await one.next()).toMatchObject({ type: 'collection', resourceType: 'volume', data: [] });
    expect(await two.next()).toMatchObject({ data: [] });
    await call('POST', '/v1/volumes', { name: 'vol-1' });
    expect(await one.next()).toMatchObject({
      data: [{ id: 'vol-1' }],
      links: { self: `http://127.0.0.1:${server.port}/v1/ws/volumes` },
    });
    expect(await two.next()).toMatchObject({ data: [{ id: 'vol-1' }] });
    one.socket.close();
    two.socket.close();
    await Promise.all([one.closed, two.closed]);
  });

  it('are closed with a word when there is no such stream, and when the manager stops', async () => {
    expect(await connect('/v1/ws/nothing').closed).toMatchObject({ code: 1011, reason: 'no stream nothing' });
    const open = connect('/v1/ws/1s/nodes');
    await open.next();
    const stopped = server.stop();
    expect(await open.closed).toMatchObject({ code: 1001 });
    await stopped;
    server = await startApiServer({
      datastore,
      managers,
      host: '127.0.0.1',
      port: 0,
      clock: systemClock,
      log,
      events: { record: () => {} },
      randomHex: () => '',
    });
  });
});
