import pino from 'pino';
import { newObject, type CrdObjects } from '@longhorn/shared-types';
import { createServer, type RpcServer } from '@longhorn/shared-types/grpc/server';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { ProxyEngineService, type EngineSnapshotDiskInfo } from '@longhorn/shared-types/generated/imrpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../clock.ts';
import { Datastore, resourceOf, type CachedKind } from '../datastore/datastore.ts';
import { MemoryApi } from '../datastore/memory-api.ts';
import { InstanceManagers, PROXY_PORT } from '../instance-client/instance-managers.ts';
import type { ApiContext } from './api-context.ts';
import { SNAPSHOT_ACTIONS, type SnapshotAnswer } from './snapshot-actions.ts';

const NS = 'longhorn-system';
/** An address of this test alone: the proxy's port is fixed. */
const PROXY_IP = '127.83.17.5';
const log = pino({ level: 'silent' });

let proxy: RpcServer;
let managers: InstanceManagers;
let datastore: Datastore;
let api: MemoryApi;
let context: ApiContext;
let calls: string[];
let snapshots: Record<string, EngineSnapshotDiskInfo>;

function snapshot(name: string, change: Partial<EngineSnapshotDiskInfo> = {}): EngineSnapshotDiskInfo {
  return {
    name,
    parent: '',
    children: {},
    removed: false,
    user_created: true,
    created: '2026-11-21T12:00:00Z',
    size: '0',
    labels: {},
    ...change,
  };
}

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

async function act(action: string, body: object = {}): Promise<SnapshotAnswer> {
  const volume = datastore.store('Volume').get('v');
  return SNAPSHOT_ACTIONS[action]!(context, volume!, JSON.stringify(body));
}

beforeEach(async () => {
  calls = [];
  snapshots = {
    'volume-head': snapshot('volume-head', { parent: 'a' }),
    a: snapshot('a', { size: '4096' }),
    gone: snapshot('gone', { removed: true }),
  };
  proxy = createServer();
  proxy.add(ProxyEngineService, {
    SnapshotList: () => ({ disks: snapshots }),
    VolumeSnapshot: ({ snapshot_volume }) => {
      const name = snapshot_volume?.name === '' ? 'made-up' : (snapshot_volume?.name ?? '');
      snapshots[name] = snapshot(name, { labels: snapshot_volume?.labels ?? {} });
      return { snapshot: { name } };
    },
    SnapshotRemove: ({ names }) => {
      calls.push(`remove ${names.join()}`);
      return {};
    },
    SnapshotRevert: ({ name, proxy_engine_request }) => {
      calls.push(`revert ${name} of ${proxy_engine_request?.volume_name} at ${proxy_engine_request?.address}`);
      return {};
    },
    SnapshotPurge: () => {
      throw rpcError(Code.FailedPrecondition, 'a rebuild is going on');
    },
  });
  await proxy.listen({ host: PROXY_IP, port: PROXY_PORT });
  api = new MemoryApi();
  datastore = new Datastore({ transport: api, namespace: NS, clock: systemClock, log });
  await have('Volume', 'v', () => {});
  await have('Engine', 'v-e-0', ({ spec, status }) => {
    Object.assign(spec, { volumeName: 'v', frontend: 'blockdev', disableFrontend: false });
    Object.assign(status, { currentState: 'running', storageIP: '10.0.0.1', port: 10000, instanceManagerName: 'im' });
  });
  await have('InstanceManager', 'im', ({ status }) => (status.ip = PROXY_IP));
  await have('Snapshot', 'a', ({ spec, status }) => {
    spec.volume = 'v';
    status.checksum = 'crc';
  });
  await datastore.start();
  managers = new InstanceManagers(null);
  context = {
    datastore,
    managers,
    clock: systemClock,
    log,
    events: { record: () => {} },
    randomHex: (digits) => 'f'.repeat(digits),
  };
});

afterEach(async () => {
  managers.close();
  await datastore.stop();
  await proxy.close();
});

describe('actions on the snapshots of a running engine', () => {
  it('lists them with the head and their checksums', async () => {
    const answer = await act('snapshotList');
    expect(answer).toMatchObject({ kind: 'collection', schema: 'snapshot' });
    const items = answer.kind === 'collection' ? answer.items : [];
    expect(new Set(items.map(({ id }) => id))).toEqual(new Set(['a', 'gone', 'volume-head']));
    expect(await act('snapshotGet', { name: 'a' })).toMatchObject({
      resource: { content: { name: 'a', size: '4096', checksum: 'crc', usercreated: true } },
    });
  });

  it('takes one, named by the client or by the engine', async () => {
    expect(await act('snapshotCreate', { name: 'b', labels: { k: 'v' } })).toMatchObject({
      resource: { id: 'b', content: { labels: { k: 'v' } } },
    });
    expect(await act('snapshotCreate')).toMatchObject({ resource: { id: 'made-up' } });
  });

  it('reverts in maintenance mode only, to a snapshot that is there', async () => {
    await expect(act('snapshotRevert', { name: 'a' })).rejects.toThrow(
      'with frontend enabled: detach it and attach it in maintenance mode',
    );
    await datastore.update('Engine', 'v-e-0', (engine) => ({
      ...engine,
      spec: { ...engine.spec, disableFrontend: true },
    }));
    await expect(act('snapshotRevert', { name: 'none' })).rejects.toThrow("not found snapshot 'none', for volume 'v'");
    await expect(act('snapshotRevert', { name: 'gone' })).rejects.toThrow("since it's marked as Removed");
    expect(calls).toEqual([]);
    expect(await act('snapshotRevert', { name: 'a' })).toEqual({ kind: 'nothing' });
    expect(calls).toEqual(['revert a of v at 10.0.0.1:10000']);
  });

  it('reverts by what the API server has, when the cache is behind', async () => {
    await datastore.stop();
    const other = new Datastore({ transport: api, namespace: NS, clock: systemClock, log });
    await other.read('Engine', 'v-e-0');
    await other.update('Engine', 'v-e-0', (engine) => ({ ...engine, spec: { ...engine.spec, disableFrontend: true } }));
    expect(datastore.store('Engine').get('v-e-0')?.spec.disableFrontend).toBe(false);
    expect(await act('snapshotRevert', { name: 'a' })).toEqual({ kind: 'nothing' });
  });

  it('marks one as removed, and tells what a purge answers', async () => {
    expect(await act('snapshotDelete', { name: 'a' })).toEqual({ kind: 'volume' });
    expect(calls).toEqual(['remove a']);
    await expect(act('snapshotPurge')).rejects.toThrow('failed to purge snapshot: ');
    await expect(act('snapshotPurge')).rejects.toThrow('a rebuild is going on');
  });

  it.each([
    ['snapshotDelete', { name: '' }, 'volume and snapshot name required'],
    ['snapshotDelete', { name: '../x' }, 'snapshot name "../x" is not valid'],
    ['snapshotCreate', { labels: { 'a=b': 'c' } }, "labels cannot contain '='"],
    ['snapshotCreate', { name: 'Upper_1' }, 'snapshot name must be lower case letters, digits, dashes and dots'],
    ['snapshotCRCreate', { name: 'a'.repeat(300) }, 'snapshot name must be at most 253 characters'],
    ['snapshotGet', { name: 'none' }, "cannot find snapshot 'none' for volume 'v'"],
  ])('%s with %j is refused', async (action, body, message) => {
    await expect(act(action, body)).rejects.toThrow(message);
  });

  it('says when there is no engine to ask', async () => {
    await datastore.update('Engine', 'v-e-0', (engine) => ({
      ...engine,
      status: { ...engine.status, currentState: 'stopped' },
    }));
    await expect(act('snapshotList')).rejects.toThrow(
      'cannot get v volume engine: engine is not running, attach the volume first',
    );
  });
});
