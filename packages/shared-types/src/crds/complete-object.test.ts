import { describe, expect, it } from 'vitest';
import { completeObject, newObject } from './complete-object.ts';

describe('completeObject', () => {
  it('fills missing and null fields with what they read as', () => {
    const volume = completeObject('Volume', {
      metadata: { name: 'v', namespace: 'n' },
      spec: { size: '2097152', nodeSelector: null, snapshotPolicy: null },
    });
    expect(volume.spec).toMatchObject({ size: '2097152', nodeSelector: [], numberOfReplicas: 0, dataEngine: 'v1' });
    expect(volume.spec.snapshotPolicy).toBeNull();
    expect(volume.status.kubernetesStatus.workloadsStatus).toEqual([]);
    expect(volume.metadata).toMatchObject({ name: 'v', labels: {}, finalizers: [], deletionTimestamp: null });
  });

  it('completes the values of maps and keeps fields that it does not know', () => {
    const node = completeObject('Node', { spec: { disks: { a: { path: '/a', later: 1 } } }, extra: true });
    expect(node.spec.disks['a']).toEqual({
      path: '/a',
      later: 1,
      allowScheduling: false,
      diskDriver: '',
      diskType: 'filesystem',
      evictionRequested: false,
      storageReserved: 0,
      tags: [],
    });
    expect(node).toHaveProperty('extra', true);
  });

  it('leaves out times that the API server does not take as null', () => {
    expect(newObject('Node', 'n', 'a').status.snapshotCheckStatus).toEqual({});
    expect(newObject('BackupTarget', 'n', 'a').spec.syncRequestedAt).toBeNull();
  });

  it('does not change what it is given and shares no defaults', () => {
    const raw = Object.freeze({ metadata: Object.freeze({ name: 'v' }), spec: Object.freeze({}) });
    const one = completeObject('Volume', raw);
    one.spec.nodeSelector.push('x');
    expect(completeObject('Volume', raw).spec.nodeSelector).toEqual([]);
  });

  it.each([
    [{ spec: { size: 5 } }, 'Volume.spec.size: must be of type string'],
    [{ spec: { diskSelector: 'a' } }, 'Volume.spec.diskSelector: must be a list'],
    [{ spec: [] }, 'Volume.spec: must be an object'],
    [null, 'Volume: must be an object'],
  ])('refuses %j with the path', (raw, message) => {
    expect(() => completeObject('Volume', raw)).toThrow(message);
  });
});
