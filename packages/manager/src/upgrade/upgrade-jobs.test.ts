import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { CORE_RESOURCES, EVENT_RESOURCE } from '../datastore/core-kinds.ts';
import type { RawObject } from '../datastore/kube-transport.ts';
import { MemoryApi } from '../datastore/memory-api.ts';
import { customResource } from '../uninstall/inventory.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { upgradeLimits } from './limits.ts';
import { DEFINITIONS } from './stored-versions.ts';
import { postUpgrade, preUpgrade, type UpgradeJob } from './upgrade-jobs.ts';

const NAMESPACE = 'longhorn-system';

function setup(): { api: MemoryApi; clock: VirtualClock; job: UpgradeJob; events: () => Promise<string[]> } {
  const clock = new VirtualClock();
  const api = new MemoryApi(() => clock.now());
  let count = 0;
  const job: UpgradeJob = {
    transport: api,
    namespace: NAMESPACE,
    version: 'v1.10.1',
    isVersionChecked: true,
    clock,
    log: pino({ level: 'silent' }),
    suffix: () => String(++count),
    signal: new AbortController().signal,
  };
  const events = async (): Promise<string[]> =>
    (await api.list(EVENT_RESOURCE, NAMESPACE)).items.map(({ type, reason }) => `${String(type)} ${String(reason)}`);
  return { api, clock, job, events };
}

async function installed(api: MemoryApi, version: string): Promise<void> {
  const setting = { metadata: { name: 'current-longhorn-version', namespace: NAMESPACE }, value: version };
  await api.create(customResource('Setting'), NAMESPACE, setting);
}

async function definition(api: MemoryApi, storedVersions: string[]): Promise<void> {
  const name = 'volumes.longhorn.io';
  const made = await api.create(DEFINITIONS, '', { metadata: { name } });
  await api.replace(DEFINITIONS, '', { ...made, status: { storedVersions } }, 'status');
}

const storedVersions = async (api: MemoryApi): Promise<unknown> =>
  (await api.get(DEFINITIONS, '', 'volumes.longhorn.io'))['status'];

describe('before an upgrade', () => {
  it('passes where nothing is installed, and writes nothing but that', async () => {
    const { api, job, events } = setup();
    await preUpgrade(job);
    expect(await events()).toEqual(['Normal PassedUpgradeCheck']);
    expect(api.writes.map(({ kind }) => kind)).toEqual(['Event']);
  });

  it.each([
    ['v1.8.0', /for minor version is not supported/],
    ['v1.11.0', /downgrading from v1.11.0/],
  ])('refuses to come from %s, and says so in an event', async (version, message) => {
    const { api, job, events } = setup();
    await installed(api, version);
    await definition(api, ['v1beta1', 'v1beta2']);
    await expect(preUpgrade(job)).rejects.toThrow(message);
    expect(await events()).toEqual(['Warning FailedUpgradePreCheck']);
    expect(await storedVersions(api)).toEqual({ storedVersions: ['v1beta1', 'v1beta2'] });
    await expect(preUpgrade({ ...job, isVersionChecked: false })).resolves.toBeUndefined();
  });

  it.each([
    [{ cliAPIVersion: 2, cliAPIMinVersion: 1, refCount: 1 }, true],
    [{ cliAPIVersion: 12, cliAPIMinVersion: 11, refCount: 1 }, true],
    [{ cliAPIVersion: 2, cliAPIMinVersion: 1, refCount: 0 }, false],
    [{ cliAPIVersion: 10, cliAPIMinVersion: 3, refCount: 4 }, false],
    [{}, false],
  ])('an engine image %j in use: refused %s', async (status, isRefused) => {
    const { api, job } = setup();
    await installed(api, 'v1.9.0');
    const image = { metadata: { name: 'ei-1', namespace: NAMESPACE }, spec: { image: 'engine:old' } };
    const made = await api.create(customResource('EngineImage'), NAMESPACE, image);
    await api.replace(customResource('EngineImage'), NAMESPACE, { ...made, status }, 'status');
    const refusal = await preUpgrade(job).then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(refusal).toMatch(isRefused ? /Engine upgrade path: engine image engine:old/ : /^$/);
  });

  it('writes what an older version stored once more, then forgets that version; again it has nothing to do', async () => {
    const { api, job } = setup();
    await installed(api, 'v1.9.0');
    await definition(api, ['v1beta1', 'v1beta2']);
    for (const name of ['a', 'b'])
      await api.create(customResource('Volume'), NAMESPACE, { metadata: { name, namespace: NAMESPACE }, spec: {} });
    // A write that changes nothing is one all the same: the API server stores it in the present version.
    const calls: string[] = [];
    api.fault = (verb, kind, name) => {
      if (/update|create/.test(verb)) calls.push(`${kind} ${name.replace(/\..*/, '')}`);
    };
    await preUpgrade(job);
    expect(calls).toEqual(['Volume a', 'Volume b', 'CustomResourceDefinition volumes', 'Event longhorn-pre-upgrade']);
    expect(await storedVersions(api)).toEqual({ storedVersions: ['v1beta2'] });
    calls.length = 0;
    await preUpgrade(job);
    expect(calls).toEqual(['Event longhorn-pre-upgrade']);
  });

  it('forgets nothing when an object could not be written', async () => {
    const { api, job } = setup();
    await installed(api, 'v1.9.0');
    await definition(api, ['v1beta1', 'v1beta2']);
    await api.create(customResource('Volume'), NAMESPACE, { metadata: { name: 'a', namespace: NAMESPACE } });
    api.fault = (verb, kind) => {
      if (verb === 'update' && kind === 'Volume') throw new Error('no answer');
    };
    await expect(preUpgrade(job)).rejects.toThrow('no answer');
    expect(await storedVersions(api)).toEqual({ storedVersions: ['v1beta1', 'v1beta2'] });
  });
});

describe('after an upgrade', () => {
  const spec = (image: string): object => ({
    containers: [
      { name: 'longhorn-manager', image },
      { name: 'another', image: `${image}-other` },
    ],
  });
  const managerPod = (name: string, image: string): RawObject => ({
    metadata: { name, namespace: NAMESPACE, labels: { app: 'longhorn-manager' } },
    spec: spec(image),
  });

  async function daemonSet(api: MemoryApi): Promise<void> {
    const made = await api.create(CORE_RESOURCES.daemonSets, NAMESPACE, {
      metadata: { name: 'longhorn-manager', namespace: NAMESPACE },
      spec: { template: { spec: spec('manager:2') } },
    });
    const status = { observedGeneration: made.metadata['generation'] };
    await api.replace(CORE_RESOURCES.daemonSets, NAMESPACE, { ...made, status }, 'status');
  }

  async function managerOn(api: MemoryApi, node: string, ready: string | null, image: string): Promise<void> {
    const pod = managerPod(`m-${node}`, image);
    await api.create(CORE_RESOURCES.pods, NAMESPACE, { ...pod, spec: { ...spec(image), nodeName: node } });
    if (ready === null) return;
    const made = await api.create(CORE_RESOURCES.kubeNodes, '', { metadata: { name: node } });
    const conditions = [{ type: 'Ready', status: ready }];
    await api.replace(CORE_RESOURCES.kubeNodes, '', { ...made, status: { conditions } }, 'status');
  }

  async function messages(api: MemoryApi): Promise<unknown[]> {
    return (await api.list(EVENT_RESOURCE, NAMESPACE)).items.map(({ message }) => message);
  }

  /** The check with all the time that it takes. */
  async function outcomeOf(job: UpgradeJob, clock: VirtualClock): Promise<string> {
    const outcome = postUpgrade(job).then(() => 'passed', String);
    for (let attempt = 0; attempt < upgradeLimits.triesMax; attempt += 1) {
      await settle();
      clock.advance(upgradeLimits.retryMs);
    }
    return outcome;
  }

  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  it('waits until the last manager has the new image', async () => {
    const { api, clock, job, events } = setup();
    await daemonSet(api);
    await api.create(CORE_RESOURCES.pods, NAMESPACE, managerPod('m-1', 'manager:2'));
    await api.create(CORE_RESOURCES.pods, NAMESPACE, managerPod('m-2', 'manager:1'));
    const running = postUpgrade(job);
    await settle();
    await api.delete(CORE_RESOURCES.pods, NAMESPACE, 'm-2', {});
    await api.create(CORE_RESOURCES.pods, NAMESPACE, managerPod('m-3', 'manager:2'));
    clock.advance(upgradeLimits.retryMs);
    await running;
    expect(await events()).toEqual(['Normal PassedUpgradeCheck']);
  });

  it('gives up after a while, and names the pod', async () => {
    const { api, clock, job, events } = setup();
    await daemonSet(api);
    await managerOn(api, 'node-1', 'True', 'manager:1');
    expect(await outcomeOf(job, clock)).toBe(
      'Error: manager upgrade is still in progress: pod m-node-1 runs manager:1, not manager:2',
    );
    expect(await events()).toEqual(['Warning FailedUpgradePostCheck']);
  });

  it('does not wait for a manager on a node that is down or gone, and names it', async () => {
    const { api, job } = setup();
    await daemonSet(api);
    await managerOn(api, 'node-1', 'True', 'manager:2');
    await managerOn(api, 'node-2', 'Unknown', 'manager:1');
    await managerOn(api, 'node-3', null, 'manager:1');
    await managerOn(api, 'node-4', 'False', 'manager:2');
    await postUpgrade(job);
    expect(await messages(api)).toEqual([
      'post-upgrade check passed, but for managers on nodes that are not ready: m-node-2 on node-2, m-node-3 on node-3. They follow when their nodes are back',
    ]);
  });

  it('does not pass while no manager that counts has the new image', async () => {
    const { api, clock, job } = setup();
    await daemonSet(api);
    await managerOn(api, 'node-1', 'Unknown', 'manager:2');
    expect(await outcomeOf(job, clock)).toBe(
      'Error: manager upgrade is still in progress: no manager runs on a node that is ready',
    );
  });
});
