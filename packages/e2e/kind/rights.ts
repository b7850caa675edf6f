/** Which granted rights were used, and which requests were refused. Pure. */
import { at } from '../src/kube.ts';

/** `GROUP RESOURCE[/SUBRESOURCE] VERB`; the core group is `core`. */
export type Right = string;

export interface AuditedRequest {
  user: string;
  right: Right;
  code: number;
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item: unknown): item is string => typeof item === 'string') : [];
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

function rightOf(group: string, resource: string, verb: string): Right {
  return `${group === '' ? 'core' : group} ${resource} ${verb}`;
}

/** The rights of Roles and ClusterRoles, each once, sorted. */
export function grantedRights(roles: readonly object[]): Right[] {
  const rights = new Set<Right>();
  for (const role of roles) {
    const rules: unknown = at(role, 'rules');
    for (const rule of Array.isArray(rules) ? (rules as unknown[]) : [])
      for (const group of texts(at(rule, 'apiGroups')))
        for (const resource of texts(at(rule, 'resources')))
          for (const verb of texts(at(rule, 'verbs'))) rights.add(rightOf(group, resource, verb));
  }
  return [...rights].sort();
}

/** Events of audit.k8s.io, one a line, the last of which may still be written. Requests that name no resource are left out. */
export function parseAudit(lines: string): AuditedRequest[] {
  return lines
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      const entry: unknown = JSON.parse(line);
      const resource = text(at(entry, 'objectRef.resource'));
      if (resource === '') return [];
      const subresource = text(at(entry, 'objectRef.subresource'));
      const full = subresource === '' ? resource : `${resource}/${subresource}`;
      const right = rightOf(text(at(entry, 'objectRef.apiGroup')), full, text(at(entry, 'verb')));
      return [{ user: text(at(entry, 'user.username')), right, code: Number(at(entry, 'responseStatus.code')) }];
    });
}

/** Granted rights that no request used, the exceptions aside; and exceptions that are none any more. */
export function unusedRights(
  granted: readonly Right[],
  requests: readonly AuditedRequest[],
  exceptions: readonly RegExp[],
): { unused: Right[]; outdated: string[] } {
  const used = new Set(requests.map(({ right }) => right));
  const idle = granted.filter((right) => !used.has(right));
  return {
    unused: idle.filter((right) => !exceptions.some((pattern) => pattern.test(right))),
    outdated: exceptions.filter((pattern) => !idle.some((right) => pattern.test(right))).map(String),
  };
}

/**
 * What was refused for want of a right, as `USER: RIGHT`, each once. What the same user was allowed at another time is not
 * counted: an API server that starts refuses everything until it has read the roles.
 */
export function refusedRequests(requests: readonly AuditedRequest[]): string[] {
  const named = (wanted: (code: number) => boolean): string[] =>
    requests.filter(({ code }) => wanted(code)).map(({ user, right }) => `${user}: ${right}`);
  const allowed = new Set(named((code) => code !== 403));
  return [...new Set(named((code) => code === 403))].filter((name) => !allowed.has(name)).sort();
}
