import { newObject, type Node } from '@longhorn/shared-types';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addKubeNode, NAMESPACE, settle, testManager, type TestManager } from '../../../test/manager-context.ts';
import { resourceOf } from '../../datastore/datastore.ts';
import { limits } from '../../limits.ts';
import { RemovedNodes } from './removed-nodes.ts';

const AFTER_MS = limits.nodeRemovedAfterMs;
let manager: TestManager;
let removed: RemovedNodes;
let node: Node;

beforeEach(async () => {
  manager = await testManager('here');
  await addKubeNode(manager.api, 'here');
  await manager.context.datastore.create('Node', newObject('Node', NAMESPACE, 'here'));
  node = await manager.context.datastore.create('Node', newObject('Node', NAMESPACE, 'lost'));
  await settle();
  removed = new RemovedNodes(manager.context);
});

afterEach(() => manager.stop());

async function isForgotten(): Promise<boolean> {
  return (await manager.api.list(resourceOf('Node'), NAMESPACE)).items.every(
    ({ metadata }) => metadata.name !== 'lost',
  );
}

describe('a node that Kubernetes does not have', () => {
  it('is forgotten once it was missing for a while', async () => {
    const untilMs = manager.clock.now() + AFTER_MS;
    expect(await removed.follow(node)).toEqual({ kind: 'waiting', untilMs });
    manager.clock.advance(AFTER_MS - 1);
    expect(await removed.follow(node)).toEqual({ kind: 'waiting', untilMs });
    expect(await isForgotten()).toBe(false);
    manager.clock.advance(1);
    expect(await removed.follow(node)).toEqual({ kind: 'done' });
    expect(await isForgotten()).toBe(true);
  });

  it('is missing from the beginning again after it was there', async () => {
    await removed.follow(node);
    manager.clock.advance(AFTER_MS - 1);
    removed.isSettled('lost');
    await removed.follow(node);
    manager.clock.advance(AFTER_MS - 1);
    await removed.follow(node);
    expect(await isForgotten()).toBe(false);
  });

  it('stays if only our cache does not know it', async () => {
    await removed.follow(node);
    await manager.stop();
    await addKubeNode(manager.api, 'lost');
    manager.clock.advance(AFTER_MS);
    expect(await removed.follow(node)).toEqual({ kind: 'waiting', untilMs: manager.clock.now() + AFTER_MS });
    expect(await isForgotten()).toBe(false);
  });

  it('stays if the API server cannot be asked', async () => {
    await removed.follow(node);
    manager.clock.advance(AFTER_MS);
    manager.api.fault = (verb) => {
      if (verb === 'get') throw new Error('no answer');
    };
    await expect(removed.follow(node)).rejects.toThrow('no answer');
    manager.api.fault = null;
    expect(await isForgotten()).toBe(false);
  });

  it('is left to the first manager that is well', async () => {
    await manager.context.datastore.create('Node', newObject('Node', NAMESPACE, 'a-node'));
    await removed.follow(node);
    manager.clock.advance(AFTER_MS);
    expect(await removed.follow(node)).toMatchObject({ kind: 'waiting' });
    expect(await isForgotten()).toBe(false);
  });

  it('is not a newer one of that name', async () => {
    await removed.follow(node);
    const { api, context, clock } = manager;
    await api.delete(resourceOf('Node'), NAMESPACE, 'lost', {});
    await context.datastore.create('Node', newObject('Node', NAMESPACE, 'lost'));
    clock.advance(AFTER_MS);
    await expect(removed.follow(node)).rejects.toThrow('the object has been modified');
    expect(await isForgotten()).toBe(false);
  });
});
