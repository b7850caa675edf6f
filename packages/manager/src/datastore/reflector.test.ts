import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../virtual-clock.ts';
import { Datastore, resourceOf } from './datastore.ts';
import { ApiError, isConflict } from './kube-transport.ts';
import { MemoryApi } from './memory-api.ts';

const log = pino({ level: 'silent' });
const running: Datastore[] = [];

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function setting(name: string, value: string): { metadata: { name: string }; value: string } {
  return { metadata: { name }, value };
}

async function started(api: MemoryApi, clock: VirtualClock): Promise<Datastore> {
  const datastore = new Datastore({ transport: api, namespace: 'ns', clock, log });
  running.push(datastore);
  const ready = datastore.start();
  for (let second = 0; second < 40; second += 1) {
    await turns();
    clock.advance(1000);
  }
  await ready;
  return datastore;
}

afterEach(async () => {
  await Promise.all(running.splice(0).map((datastore) => datastore.stop()));
});

describe('the caches', () => {
  it('fill up although the first lists fail', async () => {
    const api = new MemoryApi();
    await api.create(resourceOf('Setting'), 'ns', setting('log-level', 'Info'));
    let failures = 3;
    api.fault = (verb) => {
      if (verb === 'list' && failures > 0) {
        failures -= 1;
        throw new ApiError(500, 'InternalError', 'not now');
      }
    };
    const datastore = await started(api, new VirtualClock());
    expect(datastore.stores.Setting.get('log-level')?.value).toBe('Info');
  });

  it('list anew when the version of a watch is too old', async () => {
    const api = new MemoryApi();
    const clock = new VirtualClock();
    const datastore = await started(api, clock);
    api.endWatches({ kind: 'gone' });
    await api.create(resourceOf('Setting'), 'ns', setting('log-level', 'Debug'));
    for (let second = 0; second < 5; second += 1) {
      await turns();
      clock.advance(1000);
    }
    expect(datastore.stores.Setting.get('log-level')?.value).toBe('Debug');
  });

  it('hold what was written before the watch tells of it', async () => {
    const api = new MemoryApi();
    const datastore = await started(api, new VirtualClock());
    await api.create(resourceOf('Setting'), 'ns', setting('log-level', 'Info'));
    api.endWatches({ kind: 'closed' });
    await datastore.update('Setting', 'log-level', (present) => ({ ...present, value: 'Warn' }));
    expect(datastore.stores.Setting.get('log-level')?.value).toBe('Warn');
  });
});

describe('writes', () => {
  it('do not happen when nothing differs', async () => {
    const api = new MemoryApi();
    const datastore = await started(api, new VirtualClock());
    await api.create(resourceOf('Setting'), 'ns', setting('log-level', 'Info'));
    const before = api.writes.length;
    const present = datastore.stores.Setting.get('log-level')!;
    await datastore.save('Setting', present, structuredClone(present));
    expect(api.writes).toHaveLength(before);
  });

  it('that lost a race are told as conflicts', async () => {
    const api = new MemoryApi();
    const datastore = await started(api, new VirtualClock());
    await api.create(resourceOf('Setting'), 'ns', setting('log-level', 'Info'));
    const old = datastore.stores.Setting.get('log-level')!;
    await datastore.save('Setting', old, { ...old, value: 'Warn' });
    const lost = await datastore.save('Setting', old, { ...old, value: 'Error' }).catch((error: unknown) => error);
    expect(isConflict(lost)).toBe(true);
  });

  it('of a read-modify-write go through in spite of a conflict', async () => {
    const api = new MemoryApi();
    const datastore = await started(api, new VirtualClock());
    await api.create(resourceOf('Setting'), 'ns', setting('log-level', 'Info'));
    let conflicts = 2;
    api.fault = (verb) => {
      if (verb === 'update' && conflicts > 0) {
        conflicts -= 1;
        throw new ApiError(409, 'Conflict', 'modified');
      }
    };
    const stored = await datastore.update('Setting', 'log-level', (present) => ({ ...present, value: 'Warn' }));
    expect(stored?.value).toBe('Warn');
  });
});
