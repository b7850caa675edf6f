/** After installation, tests and uninstallation: every right of docs/rbac.md was used, and none was missing. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { run } from '../../src/shell.ts';
import { auditedRequests } from '../audit.ts';
import { ROOT } from '../images.ts';
import { NAMESPACE } from '../kubectl.ts';
import { grantedRights, refusedRequests, unusedRights } from '../rights.ts';
import { EXCEPTIONS } from '../rights-exceptions.ts';

interface Role {
  kind: string;
}

async function chartRoles(): Promise<Role[]> {
  const args = [
    'template',
    'longhorn',
    join(ROOT, 'charts/longhorn'),
    '--namespace',
    NAMESPACE,
    '--kube-version',
    '1.34.0',
  ];
  const text = await run('helm', args);
  const objects = parseAllDocuments(text).map((document) => document.toJSON() as Role | null);
  return objects.filter((object) => object !== null).filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole');
}

it('asks for nothing that it has no right to', async () => {
  expect(refusedRequests(await auditedRequests())).toEqual([]);
});

it('has no right that nothing used, but for those with a reason', async () => {
  const exceptions = EXCEPTIONS.map(({ right }) => right);
  const found = unusedRights(grantedRights(await chartRoles()), await auditedRequests(), exceptions);
  // The long tests use what is an exception of the quick set.
  const outdated = process.env['E2E_FULL'] === '1' ? [] : found.outdated;
  expect({ unused: found.unused, outdated }).toEqual({ unused: [], outdated: [] });
});
