import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import type { RawObject } from '../datastore/kube-transport.ts';
import { MemoryApi } from '../datastore/memory-api.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { AFTER_MANAGERS, customResource, DRIVER, MANAGERS, REST } from './inventory.ts';
import { managersAreReady, removalOf, volumesInUse } from './plan.ts';
import { uninstall, type Uninstaller } from './uninstaller.ts';

const NAMESPACE = 'longhorn-system';
const DELETED = '2026-01-01T00:00:00Z';
const object = (name: string, rest: object = {}): RawObject => ({ metadata: { name }, ...rest });

describe('what is done with an object', () => {
  const now = Date.parse(DELETED) + 90_000;
  const going = (finalizers: string[]): RawObject => ({
    metadata: { name: 'a', deletionTimestamp: DELETED, finalizers },
  });
  it.each([
    ['is asked to go', object('a'), 90_000, 'delete'],
    ['is waited for within the grace', going(['longhorn.io']), 90_001, 'wait'],
    ['is let go by force after it', going(['longhorn.io']), 90_000, 'let go by force'],
    ['is let go at once when no manager runs', going(['longhorn.io']), 0, 'let go by force'],
    ['is left alone when nothing holds it', going([]), 0, 'wait'],
  ])('%s', (_case, subject, graceMs, removal) => {
    expect(removalOf(subject, now, graceMs)).toBe(removal);
  });
});

describe('managers', () => {
  const daemonSet = (numberReady: number, desiredNumberScheduled: number): RawObject =>
    object('longhorn-manager', { status: { numberReady, desiredNumberScheduled } });
  it.each([
    [null, false],
    [daemonSet(3, 3), true],
    [daemonSet(2, 3), true],
    [daemonSet(1, 3), false],
    [daemonSet(0, 1), false],
  ])('%j: ready %s', (subject, ready) => {
    expect(managersAreReady(subject)).toBe(ready);
  });

  it('count volumes that are attached or about to be', () => {
    const volumes = ['detached', 'attaching', 'attached', 'creating'].map((state) =>
      object(state, { status: { state } }),
    );
    expect(volumesInUse(volumes)).toEqual(['attaching', 'attached']);
  });
});

async function installed({ flag = 'true', ready = 3, state = 'detached', force = true } = {}): Promise<{
  api: MemoryApi;
  run: () => Promise<void>;
}> {
  const clock = new VirtualClock();
  const api = new MemoryApi(() => clock.now());
  for (const kind of AFTER_MANAGERS) {
    const name = kind === 'Setting' ? 'deleting-confirmation-flag' : `one-${kind.toLowerCase()}`;
    await api.create(customResource(kind), NAMESPACE, {
      metadata: { name, ...(kind === 'Setting' ? {} : { finalizers: ['longhorn.io'] }) },
      ...(kind === 'Setting' ? { value: flag } : {}),
    });
  }
  const volume = await api.get(customResource('Volume'), NAMESPACE, 'one-volume');
  await api.replace(customResource('Volume'), NAMESPACE, { ...volume, status: { state } }, 'status');
  for (const { resource, name } of [...MANAGERS, ...DRIVER, ...REST])
    await api.create(resource, resource.namespaced ? NAMESPACE : '', { metadata: { name } });
  const managers = await api.get(CORE_RESOURCES.daemonSets, NAMESPACE, 'longhorn-manager');
  const status = { numberReady: ready, desiredNumberScheduled: 3 };
  await api.replace(CORE_RESOURCES.daemonSets, NAMESPACE, { ...managers, status }, 'status');
  const uninstaller: Uninstaller = {
    transport: api,
    namespace: NAMESPACE,
    force,
    clock: {
      now: () => clock.now(),
      after: (delayMs, call) => (queueMicrotask(() => (clock.advance(delayMs), call())), () => undefined),
    },
    log: pino({ level: 'silent' }),
    signal: new AbortController().signal,
  };
  api.writes.length = 0;
  return { api, run: () => uninstall(uninstaller) };
}

async function left(api: MemoryApi): Promise<string[]> {
  const names: string[] = [];
  for (const kind of AFTER_MANAGERS)
    names.push(...(await api.list(customResource(kind), NAMESPACE)).items.map(({ metadata }) => metadata.name));
  for (const { resource, name } of [...MANAGERS, ...DRIVER, ...REST]) {
    const items = (await api.list(resource, resource.namespaced ? NAMESPACE : '')).items;
    if (items.some(({ metadata }) => metadata.name === name)) names.push(name);
  }
  return names;
}

describe('uninstalling', () => {
  it('leaves nothing', async () => {
    const { api, run } = await installed();
    await run();
    expect(await left(api)).toEqual([]);
  });

  it('refuses while the flag is not set, and changes nothing', async () => {
    const { api, run } = await installed({ flag: 'false' });
    await expect(run()).rejects.toThrow('because deleting-confirmation-flag is set to `false`');
    expect(api.writes).toEqual([]);
  });

  it.each([
    [{ ready: 0, force: false }, 'manager not ready, set --force to continue'],
    [{ state: 'attached', force: false }, 'volume(s) are in use, set --force to continue'],
  ])('refuses %j', async (options, message) => {
    const { api, run } = await installed(options);
    await expect(run()).rejects.toThrow(message);
    expect(api.writes).toEqual([]);
  });

  it('goes on without managers when it is forced', async () => {
    const { api, run } = await installed({ ready: 0, state: 'attached' });
    await run();
    expect(await left(api)).toEqual([]);
  });

  it('asks nothing to go by force while managers run and have time', async () => {
    const { api, run } = await installed();
    await run();
    const forced = api.writes.findIndex(({ verb }) => verb === 'patch');
    const grace = api.writes.slice(0, forced).map(({ kind }) => kind);
    expect(grace).toEqual(['Volume']);
  });

  it.each([
    ['a lost node', 'False', true],
    ['a node that is there', 'True', false],
  ])('waits for a pod of ours on %s only if somebody can end it', async (_case, ready, ends) => {
    const { api, run } = await installed();
    const node = await api.create(CORE_RESOURCES.kubeNodes, '', { metadata: { name: 'node-1' } });
    const conditions = [{ type: 'Ready', status: ready }];
    await api.replace(CORE_RESOURCES.kubeNodes, '', { ...node, status: { conditions } }, 'status');
    const labels = { 'longhorn.io/managed-by': 'longhorn-manager' };
    await api.create(CORE_RESOURCES.pods, NAMESPACE, {
      metadata: { name: 'instance-manager-1', labels },
      spec: { nodeName: 'node-1' },
    });
    const outcome = await run().then(
      () => 'ended',
      (error: unknown) => String(error),
    );
    expect(outcome).toBe(ends ? 'ended' : 'Error: pods: still there: Pod instance-manager-1');
  });

  it('takes the webhooks away before it writes without managers', async () => {
    const { api, run } = await installed({ ready: 0 });
    await run();
    const order = api.writes.map(({ verb, kind }) => `${verb} ${kind}`);
    expect(order.indexOf('delete ValidatingWebhookConfiguration')).toBeLessThan(order.indexOf('patch Volume'));
    expect(order.at(-1)).toBe('delete Setting');
  });

  describe('what never started', () => {
    const FLAG = 'deleting-confirmation-flag';

    async function neverStarted(): Promise<Awaited<ReturnType<typeof installed>>> {
      const made = await installed({ ready: 0 });
      for (const kind of AFTER_MANAGERS)
        for (const { metadata } of (await made.api.list(customResource(kind), NAMESPACE)).items) {
          await made.api.delete(customResource(kind), NAMESPACE, metadata.name, {});
          if (kind !== 'Setting')
            await made.api.patch(customResource(kind), NAMESPACE, metadata.name, { metadata: { finalizers: null } });
        }
      made.api.writes.length = 0;
      return made;
    }

    /** Makes an object in the moment in which the managers are taken away, as one that begins would. */
    function makeMeanwhile(api: MemoryApi, kind: 'Volume' | 'Node' | 'Setting', name: string): void {
      api.fault = (verb, deleted) => {
        if (verb !== 'delete' || deleted !== 'DaemonSet') return;
        api.fault = null;
        void api.create(customResource(kind), NAMESPACE, { metadata: { name, finalizers: ['longhorn.io'] } });
      };
    }

    it('goes without the flag, which guards data', async () => {
      const { api, run } = await neverStarted();
      await run();
      expect(await left(api)).toEqual([]);
    });

    it.each(AFTER_MANAGERS)('is not what has an object of kind %s', async (kind) => {
      const { api, run } = await neverStarted();
      await api.create(customResource(kind), NAMESPACE, { metadata: { name: 'one' } });
      api.writes.length = 0;
      await expect(run()).rejects.toThrow(`because ${FLAG} is set to`);
      expect(api.writes).toEqual([]);
    });

    it('goes with what a manager makes meanwhile at its start', async () => {
      const { api, run } = await neverStarted();
      makeMeanwhile(api, 'Node', 'node-1');
      await run();
      expect(await left(api)).toEqual([]);
    });

    it('is refused when somebody makes a volume meanwhile, which stays', async () => {
      const { api, run } = await neverStarted();
      makeMeanwhile(api, 'Volume', 'vol-1');
      await expect(run()).rejects.toThrow(`because ${FLAG} is set to`);
      const volume = await api.get(customResource('Volume'), NAMESPACE, 'vol-1');
      expect(volume.metadata['deletionTimestamp']).toBeUndefined();
    });
  });

  it('can be ended at any step and started again', async () => {
    const whole = await installed();
    await whole.run();
    const steps = whole.api.writes.length;
    for (let crashAt = 0; crashAt < steps; crashAt += 7) {
      const { api, run } = await installed();
      let count = 0;
      api.fault = (verb) => {
        if (['delete', 'patch'].includes(verb) && count++ === crashAt) throw new Error('crash');
      };
      await expect(run(), `crash at write ${crashAt}`).rejects.toThrow('crash');
      api.fault = null;
      await run();
      expect(await left(api), `after a crash at write ${crashAt}`).toEqual([]);
    }
  });
});
