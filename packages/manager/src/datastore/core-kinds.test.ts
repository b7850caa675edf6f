import { describe, expect, it } from 'vitest';
import { decodeKubeNode } from './core-kinds.ts';

const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

describe('a Kubernetes node', () => {
  it.each<[string, unknown, boolean]>([
    ['without taints is in service', undefined, false],
    ['with the taint is out of service', [{ key: OUT_OF_SERVICE, value: 'nodeshutdown', effect: 'NoExecute' }], true],
    [
      'with the taint among others is out of service',
      [
        { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' },
        { key: OUT_OF_SERVICE, effect: 'NoExecute' },
      ],
      true,
    ],
    ['with the taint in another effect is in service', [{ key: OUT_OF_SERVICE, effect: 'NoSchedule' }], false],
    ['with another taint is in service', [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' }], false],
    ['with unreadable taints is in service', 'none', false],
  ])('%s', (_case, taints, expected) => {
    expect(decodeKubeNode({ metadata: { name: 'n' }, spec: { taints } }).isOutOfService).toBe(expected);
  });
});
