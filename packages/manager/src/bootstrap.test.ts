import { newObject, OBJECT_NAME } from '@longhorn/shared-types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NAMESPACE, testManager, type TestManager } from '../test/manager-context.ts';
import { bootstrapRegistrySecret, bootstrapSettings } from './bootstrap.ts';
import { settingsOf } from './controllers/context.ts';
import { engineImageDaemonSet } from './controllers/engine-image/daemon-set.ts';
import { instanceManagerPod } from './controllers/instance-managers/pod.ts';
import { CORE_RESOURCES } from './datastore/core-kinds.ts';

let manager: TestManager;

beforeEach(async () => {
  manager = await testManager('node-1');
  await bootstrapSettings(manager.context);
});

afterEach(() => manager.stop());

async function managersPullWith(...secrets: string[]): Promise<void> {
  const imagePullSecrets = secrets.map((name) => ({ name }));
  const { api } = manager;
  await api.delete(CORE_RESOURCES.daemonSets, NAMESPACE, OBJECT_NAME.managerApp, {}).catch(() => undefined);
  await api.create(CORE_RESOURCES.daemonSets, NAMESPACE, {
    metadata: { name: OBJECT_NAME.managerApp },
    spec: { template: { spec: { containers: [], ...(secrets.length === 0 ? {} : { imagePullSecrets }) } } },
  });
}

const registrySecret = (): string => settingsOf(manager.context).get('registry-secret');

describe('the registry secret', () => {
  it('is the first one that the managers pull their image with, in all pods that they make', async () => {
    await managersPullWith('regcred', 'other');
    await bootstrapRegistrySecret(manager.context);
    expect(registrySecret()).toBe('regcred');
    const settings = settingsOf(manager.context);
    const image = engineImageDaemonSet(manager.context, newObject('EngineImage', NAMESPACE, 'ei-1'), settings);
    const pod = instanceManagerPod(manager.context, newObject('InstanceManager', NAMESPACE, 'im-1'), settings, 0);
    const secrets = [{ name: 'regcred' }];
    expect(image).toMatchObject({ spec: { template: { spec: { imagePullSecrets: secrets } } } });
    expect(pod).toMatchObject({ spec: { imagePullSecrets: secrets } });
  });

  it('follows at each start, and writes nothing when it is the same', async () => {
    await managersPullWith('regcred');
    await bootstrapRegistrySecret(manager.context);
    const writes = manager.api.writes.length;
    await bootstrapRegistrySecret(manager.context);
    expect(manager.api.writes).toHaveLength(writes);
    await managersPullWith();
    await bootstrapRegistrySecret(manager.context);
    expect(registrySecret()).toBe('');
  });

  it('stays as it is where managers are no pods of a DaemonSet', async () => {
    await manager.context.datastore.update('Setting', 'registry-secret', (present) => ({ ...present, value: 'mine' }));
    await bootstrapRegistrySecret(manager.context);
    expect(registrySecret()).toBe('mine');
  });
});
