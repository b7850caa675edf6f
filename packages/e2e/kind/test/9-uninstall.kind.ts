/** Uninstalling: refused without the flag; with it nothing stays but data folders. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { added, nodeInventory, objectInventory, type Inventory } from '../inventory.ts';
import { allReady, confirmDeletion, setting, uninstall } from '../installation.ts';
import { apply, dropNamespace, get, kubectl, list, makeNamespace, NAMESPACE, until } from '../kubectl.ts';
import { claim, volumeOf } from '../workloads.ts';

const before = JSON.parse(readFileSync(join(process.env['E2E_FOLDER'] ?? '', 'before.json'), 'utf8')) as {
  objects: Inventory;
  nodes: Inventory;
};

const SPACE = 'e2e-uninstall';
afterAll(() => dropNamespace(SPACE));

it('is refused while the flag is not set, and nothing is touched', async () => {
  await makeNamespace(SPACE);
  await apply(SPACE, [claim('kept')]);
  const volume = await volumeOf(SPACE, 'kept');
  expect(await setting('deleting-confirmation-flag')).toBe('false');
  await expect(uninstall()).rejects.toThrow('job longhorn-uninstall failed');
  const log = await kubectl(['logs', '--namespace', NAMESPACE, '--selector', 'job-name=longhorn-uninstall']);
  expect(log).toContain('because deleting-confirmation-flag is set to `false`');
  await allReady(60_000);
  const kept = await get('volumes.longhorn.io', volume);
  expect([kept?.metadata.name, kept?.metadata['deletionTimestamp']]).toEqual([volume, undefined]);
});

it('leaves nothing but data folders once the flag is set', async () => {
  // A volume behind a claim would come back as a PersistentVolume that nobody can delete.
  await dropNamespace(SPACE);
  await until('no volume is left', 120_000, async () => (await list('persistentvolumes', null)).length === 0);
  await confirmDeletion();
  await uninstall();
  let left: Inventory = [];
  await until(
    'nothing is left',
    90_000,
    async () => {
      left = [...added(before.objects, await objectInventory()), ...added(before.nodes, await nodeInventory())];
      return left.length === 0;
    },
    () => Promise.resolve(left.join('\n')),
  );
  expect(left).toEqual([]);
});
