import { describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { newObject } from '@longhorn/shared-types';
import { Datastore } from '../../datastore/datastore.ts';
import { MemoryApi } from '../../datastore/memory-api.ts';
import { VirtualClock } from '../../virtual-clock.ts';
import { observeDevice } from './observe.ts';

const DEVICE = { number: '7:1', bootId: 'boot' };

interface Given {
  on?: string;
  endpoint?: string;
  ioState?: 'serving' | 'held' | 'waiting';
  active?: boolean;
}

/** What is seen, and the paths that were looked at. */
async function observe({ on = 'node-1', endpoint = '/dev/longhorn/vol', ioState = 'serving', active = true }: Given) {
  const log = pino({ level: 'silent' });
  const datastore = new Datastore({ transport: new MemoryApi(), namespace: 'ns', clock: new VirtualClock(), log });
  const engine = newObject('Engine', 'ns', 'vol-e-0');
  Object.assign(engine.metadata, { uid: 'u', resourceVersion: '1' });
  Object.assign(engine.spec, { volumeName: 'vol', active });
  Object.assign(engine.status, { currentState: 'running', ioState, endpoint, replicaModeMap: { r: 'RW' } });
  datastore.stores.Engine.apply(engine);
  const volume = newObject('Volume', 'ns', 'vol');
  volume.status.currentNodeID = on;
  const looked: string[] = [];
  const device = await observeDevice(
    {
      datastore,
      me: 'node-1',
      environment: { hostRoot: '/host', dataRoot: '', engineBinariesDir: '' },
      io: {
        blockDeviceAt: (path, root) => {
          looked.push(`${root} ${path}`);
          return Promise.resolve(DEVICE);
        },
      },
    },
    volume,
  );
  return { device, looked };
}

describe('the device of a volume', () => {
  it.each<[string, Given]>([
    ['while it is served here', {}],
    ['while its I/O is held', { ioState: 'held' }],
  ])('is looked at %s', async (_case, given) => {
    expect(await observe(given)).toEqual({ device: DEVICE, looked: ['/host /dev/longhorn/vol'] });
  });

  it.each<[string, Given]>([
    ['that is on another node', { on: 'node-2' }],
    ['that is nowhere', { on: '' }],
    ['that is not served yet', { ioState: 'waiting' }],
    ['whose engine has no frontend', { endpoint: '' }],
    [
      'that is served on a socket, which clients connect to again',
      { endpoint: 'nbd+unix:///vol?socket=/run/vol.sock' },
    ],
    ['without an active engine', { active: false }],
  ])('is not known of a volume %s', async (_case, given) => {
    expect(await observe(given)).toEqual({ device: null, looked: [] });
  });
});
