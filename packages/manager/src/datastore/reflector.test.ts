import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../virtual-clock.ts';
import { limits } from '../limits.ts';
import { CORE_RESOURCES, decodeKubeNode } from './core-kinds.ts';
import { Datastore, resourceOf } from './datastore.ts';
import { ApiError, isConflict, type WatchEnd, type WatchEvent } from './kube-transport.ts';
import { MemoryApi } from './memory-api.ts';
import { ObjectStore } from './object-store.ts';
import { reflect } from './reflector.ts';

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

describe('watches that do not live', () => {
  type Watch = (onEvent: (event: WatchEvent) => void) => Promise<WatchEnd>;

  /** How long after the one before each of some watches begins, in milliseconds. */
  async function intervals(watch: Watch, count: number, clock = new VirtualClock()): Promise<number[]> {
    const api = new MemoryApi();
    const atMs: number[] = [];
    api.watch = (_resource, _namespace, _version, onEvent) => {
      atMs.push(clock.now());
      return watch(onEvent);
    };
    const stopping = new AbortController();
    const running = reflect({
      transport: api,
      resource: CORE_RESOURCES.kubeNodes,
      namespace: '',
      store: new ObjectStore('Node'),
      decode: decodeKubeNode,
      clock,
      log,
      signal: stopping.signal,
      onSynced: () => undefined,
    });
    while (atMs.length <= count) {
      await turns();
      clock.advance((clock.nextMs() ?? clock.now()) - clock.now());
    }
    stopping.abort();
    await running;
    return atMs.slice(1).map((time, index) => time - (atMs[index] ?? 0));
  }

  const ends: WatchEnd[] = [
    { kind: 'failed', error: new ApiError(0, '', 'connection refused') },
    { kind: 'closed' },
    { kind: 'gone' },
  ];
  it.each(ends)('are taken up again ever later, up to the limit: $kind', async (end) => {
    expect(await intervals(() => Promise.resolve(end), 8)).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  });

  it('are taken up again soon once one told something', async () => {
    let count = 0;
    const watch: Watch = (onEvent) => {
      count += 1;
      if (count === 4) onEvent({ type: 'BOOKMARK', object: { metadata: { name: '', resourceVersion: '7' } } });
      return Promise.resolve({ kind: 'failed', error: new ApiError(0, '', 'connection refused') });
    };
    expect(await intervals(watch, 5)).toEqual([250, 500, 1000, 250, 250]);
  });

  it('are not taken up in a tight loop by a server that tells something and closes', async () => {
    const watch: Watch = (onEvent) => {
      onEvent({ type: 'BOOKMARK', object: { metadata: { name: '', resourceVersion: '7' } } });
      return Promise.resolve({ kind: 'closed' });
    };
    expect(await intervals(watch, 3)).toEqual([250, 250, 250]);
  });

  it('are taken up again soon once one lasted', async () => {
    const clock = new VirtualClock();
    let count = 0;
    const watch: Watch = () =>
      new Promise((resolve) => {
        count += 1;
        clock.after(count === 4 ? limits.watchLivedMs : 0, () => resolve({ kind: 'closed' }));
      });
    expect(await intervals(watch, 5, clock)).toEqual([250, 500, 1000, limits.watchLivedMs, 250]);
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
