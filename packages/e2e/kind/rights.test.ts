import { expect, it } from 'vitest';
import { grantedRights, parseAudit, refusedRequests, unusedRights } from './rights.ts';

const ROLE = {
  rules: [
    { apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['get', 'list'] },
    { apiGroups: ['longhorn.io'], resources: ['volumes/status'], verbs: ['update'] },
  ],
};
const line = (
  verb: string,
  apiGroup: string | null,
  resource: string,
  subresource: string | null,
  code = 200,
): string =>
  JSON.stringify({
    user: { username: 'system:serviceaccount:a:b' },
    verb,
    responseStatus: { code },
    objectRef: {
      resource,
      ...(apiGroup === null ? {} : { apiGroup }),
      ...(subresource === null ? {} : { subresource }),
    },
  });

it('takes a rule apart into group, resource and verb', () => {
  expect(grantedRights([ROLE])).toEqual([
    'core nodes get',
    'core nodes list',
    'core pods get',
    'core pods list',
    'longhorn.io volumes/status update',
  ]);
});

it('finds what nothing used, but for exceptions, and exceptions that are used after all', () => {
  const requests = parseAudit(
    [
      line('get', null, 'nodes', null),
      line('list', null, 'pods', null),
      line('update', 'longhorn.io', 'volumes', 'status'),
    ].join('\n') + '\n{"user":',
  );
  expect(unusedRights(grantedRights([ROLE]), requests, [/^core nodes list$/, /volumes/])).toEqual({
    unused: ['core pods get'],
    outdated: ['/volumes/'],
  });
});

it('names who was refused what, once', () => {
  const denied = line('delete', 'apps', 'daemonsets', null, 403);
  expect(refusedRequests(parseAudit(`${denied}\n${denied}\n${line('get', null, 'nodes', null)}\n`))).toEqual([
    'system:serviceaccount:a:b: apps daemonsets delete',
  ]);
});

it('does not count what an API server refused while it started', () => {
  const lines = [line('get', null, 'nodes', null, 403), line('get', null, 'nodes', null), ''];
  expect(refusedRequests(parseAudit(lines.join('\n')))).toEqual([]);
});
