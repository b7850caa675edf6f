/** Uninstalling: refused without the flag; with it nothing stays but data folders. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { added, nodeInventory, objectInventory, type Inventory } from '../inventory.ts';
import { allReady, confirmDeletion, setting, uninstall } from '../installation.ts';
import { kubectl, list, NAMESPACE, until } from '../kubectl.ts';

const before = JSON.parse(readFileSync(join(process.env['E2E_FOLDER'] ?? '', 'before.json'), 'utf8')) as {
  objects: Inventory;
  nodes: Inventory;
};

it('is refused while the flag is not set, and nothing is touched', async () => {
  const volumes = (await list('volumes.longhorn.io')).length;
  expect(await setting('deleting-confirmation-flag')).toBe('false');
  await expect(uninstall()).rejects.toThrow('job longhorn-uninstall failed');
  const log = await kubectl(['logs', '--namespace', NAMESPACE, '--selector', 'job-name=longhorn-uninstall']);
  expect(log).toContain('because deleting-confirmation-flag is set to `false`');
  await allReady(60_000);
  expect((await list('volumes.longhorn.io')).length).toBe(volumes);
});

it('leaves nothing but data folders once the flag is set', async () => {
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
