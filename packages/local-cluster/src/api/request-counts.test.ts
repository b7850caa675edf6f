import { describe, expect, it } from 'vitest';
import { countedWritesMax } from '../limits.ts';
import { Registry } from './registry.ts';
import { RequestCounts } from './request-counts.ts';
import { resourceRoute } from './route.ts';
import { Store } from './store.ts';

const registry = new Registry(new Store(':memory:'));

function count(counts: RequestCounts, method: string, path: string): void {
  const route = resourceRoute(registry, path);
  if (route === null) throw new Error(`no route ${path}`);
  counts.note(method, route);
}

describe('request counts', () => {
  it('count what changes objects, by verb, kind, subresource and name', () => {
    const counts = new RequestCounts();
    for (const [method, path] of [
      ['GET', '/api/v1/pods'],
      ['PUT', '/apis/coordination.k8s.io/v1/namespaces/ns/leases/a'],
      ['PUT', '/apis/coordination.k8s.io/v1/namespaces/ns/leases/a'],
      ['PATCH', '/api/v1/nodes/n/status'],
      ['POST', '/api/v1/namespaces/ns/pods'],
    ] as const)
      count(counts, method, path);
    expect(counts.writes()).toEqual({
      'PUT leases ns/a': 2,
      'PATCH nodes/status n': 1,
      'POST pods ns': 1,
    });
  });

  it('are bounded: further objects are counted together', () => {
    const counts = new RequestCounts();
    for (let index = 0; index < countedWritesMax + 2; index++) count(counts, 'DELETE', `/api/v1/nodes/n${index}`);
    expect(Object.keys(counts.writes())).toHaveLength(countedWritesMax + 1);
    expect(counts.writes()['(further ones)']).toBe(2);
  });
});
