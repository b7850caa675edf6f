/** docs/install.md on a fresh cluster: everything Ready in time, and a volume that works. */
import { expect, it } from 'vitest';
import { allReady, install, isInstalled, test } from '../installation.ts';
import { at } from '../../src/kube.ts';
import { list } from '../kubectl.ts';
import { workers } from '../nodes.ts';

const READY_MS = 180_000;

it('is Ready on fresh nodes within three minutes', async () => {
  if (!(await isInstalled())) await install();
  await allReady(READY_MS);
  expect(await isInstalled()).toBe(true);
});

it('has a disk with room on every node that takes pods', async () => {
  const nodes = await list('nodes.longhorn.io');
  expect(nodes.map(({ metadata }) => metadata.name).sort()).toEqual(await workers());
  for (const node of nodes) {
    const disks = Object.values(at(node, 'status.diskStatus') ?? {}) as unknown[];
    expect(disks.length, node.metadata.name).toBe(1);
    expect(Number(at(disks[0], 'storageAvailable')), node.metadata.name).toBeGreaterThan(0);
  }
});

it('passes helm test', async () => {
  expect(await test()).not.toContain('Failed');
});
