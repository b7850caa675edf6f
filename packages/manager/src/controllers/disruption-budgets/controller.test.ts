/** Budgets of attacher and provisioner: one manager makes them. */
import { newObject, type Node, type Volume } from '@longhorn/shared-types';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NAMESPACE, settle, testManager, type TestManager } from '../../../test/manager-context.ts';
import { CORE_RESOURCES } from '../../datastore/core-kinds.ts';
import { resourceOf } from '../../datastore/datastore.ts';
import { setCondition } from '../conditions.ts';
import { CSI_BUDGETS, reconcileBudget } from './controller.ts';

let manager: TestManager;

beforeEach(async () => {
  manager = await testManager('second');
});
afterEach(() => manager.stop());

async function addNode(name: string, reason: string): Promise<void> {
  const node = newObject('Node', NAMESPACE, name);
  const status = reason === '' ? 'True' : 'False';
  setCondition(node.status.conditions, { type: 'Ready', status, reason, message: '' }, manager.clock.now());
  await store('Node', node);
}

/** A new object's status is not taken by the API. */
async function store(kind: 'Node' | 'Volume', object: Node | Volume): Promise<void> {
  const { metadata, status } = object;
  await manager.api.create(resourceOf(kind), NAMESPACE, { ...object, metadata: { ...metadata } });
  manager.api.force(resourceOf(kind), NAMESPACE, metadata.name, { status });
}

/** Names of the budgets after this manager looked. */
async function budgets(state: 'attached' | 'detached'): Promise<string[]> {
  const volume = newObject('Volume', NAMESPACE, `volume-${state}`);
  volume.status.state = state;
  await store('Volume', volume);
  await settle();
  for (const name of CSI_BUDGETS) await reconcileBudget(manager.context, name);
  const { items } = await manager.api.list(CORE_RESOURCES.budgets, NAMESPACE);
  return items.map(({ metadata }) => metadata.name).sort();
}

it('are there while a volume is in use', async () => {
  await addNode('second', '');
  expect(await budgets('detached')).toEqual([]);
  expect(await budgets('attached')).toEqual([...CSI_BUDGETS]);
});

it('are left to the manager of the first node', async () => {
  await addNode('first', '');
  await addNode('second', '');
  expect(await budgets('attached')).toEqual([]);
});

it('are made by the next one while the first node is down', async () => {
  await addNode('first', 'KubernetesNodeNotReady');
  await addNode('second', '');
  expect(await budgets('attached')).toEqual([...CSI_BUDGETS]);
});
