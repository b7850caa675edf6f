import { describe, expect, it } from 'vitest';
import {
  decodePersistentVolume,
  decodeWorkloadPod,
  type PersistentVolume,
  type WorkloadPod,
} from '../../datastore/workload-kinds.ts';
import {
  choosePersistentVolume,
  planKubernetesStatus,
  useProblem,
  type KubernetesStatus,
  type UsePlan,
} from './plan.ts';

const NOW = '2026-01-01T12:00:00Z';
const EARLIER = '2025-12-31T12:00:00Z';
const CLAIM = { namespace: 'shop', name: 'data' };

function volume(name: string, phase: string, claim: object | null = CLAIM, made = EARLIER): PersistentVolume {
  const decoded = decodePersistentVolume({
    metadata: { name, creationTimestamp: made },
    spec: {
      csi: { driver: 'driver.longhorn.io', volumeHandle: 'vol' },
      ...(claim === null ? {} : { claimRef: claim }),
    },
    status: { phase },
  });
  if (decoded === null) throw new Error('it is ours');
  return decoded;
}

function pod(name: string, phase: string, ownerReferences: object[] = []): WorkloadPod {
  const decoded = decodeWorkloadPod({
    metadata: { name, namespace: 'shop', ownerReferences },
    spec: { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
    status: { phase },
  });
  if (decoded === null) throw new Error('it has a claim');
  return decoded;
}

function status(change: Partial<KubernetesStatus> = {}): KubernetesStatus {
  return {
    lastPVCRefAt: '',
    lastPodRefAt: '',
    namespace: '',
    pvName: '',
    pvStatus: '',
    pvcName: '',
    workloadsStatus: [],
    ...change,
  };
}

const WEB = { podName: 'web-0', podStatus: 'Running', workloadName: 'web', workloadType: 'StatefulSet' };
const BOUND = status({ pvName: 'pv-1', pvStatus: 'Bound', namespace: 'shop', pvcName: 'data' });
const USED = { ...BOUND, workloadsStatus: [WEB] };
const PODS = [pod('web-0', 'Running', [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web' }])];

function plan(before: KubernetesStatus, pv: PersistentVolume | null, pods: readonly WorkloadPod[] = []): UsePlan {
  return planKubernetesStatus({ nowMs: Date.parse(NOW), volume: 'vol', before, pv, pods });
}

const START = {
  type: 'Normal',
  reason: 'Start',
  message: 'Persistent Volume pv-1 started to use/reuse Longhorn volume vol',
};
const STOP = { type: 'Normal', reason: 'Stop', message: 'Persistent Volume pv-1 stopped to use Longhorn volume vol' };

describe('who uses a volume', () => {
  it('is nobody at first', () => {
    expect(plan(status(), null)).toEqual({ status: status(), events: [] });
  });

  it('is a persistent volume without a claim', () => {
    const expected = status({ pvName: 'pv-1', pvStatus: 'Available' });
    expect(plan(status(), volume('pv-1', 'Available', null))).toEqual({ status: expected, events: [START] });
  });

  it('is a claim, once it is bound', () => {
    const before = status({ pvName: 'pv-1', pvStatus: 'Pending' });
    expect(plan(before, volume('pv-1', 'Pending'))).toEqual({ status: before, events: [] });
    expect(plan(before, volume('pv-1', 'Bound'))).toEqual({ status: BOUND, events: [] });
  });

  it('are pods, with what owns them', () => {
    const alone = pod('alone', 'Pending');
    const expected = {
      ...BOUND,
      workloadsStatus: [{ podName: 'alone', podStatus: 'Pending', workloadName: '', workloadType: '' }, WEB],
    };
    expect(plan(BOUND, volume('pv-1', 'Bound'), [alone, ...PODS])).toEqual({ status: expected, events: [] });
  });

  it('does not change without a reason', () => {
    expect(plan(USED, volume('pv-1', 'Bound'), PODS)).toEqual({ status: USED, events: [] });
  });

  it('were pods, once there are none any more', () => {
    const history = { ...USED, lastPodRefAt: NOW };
    expect(plan(USED, volume('pv-1', 'Bound'))).toEqual({ status: history, events: [] });
    const older = { ...USED, lastPodRefAt: EARLIER };
    expect(plan(older, volume('pv-1', 'Bound'))).toEqual({ status: older, events: [] });
    expect(plan(older, volume('pv-1', 'Bound'), PODS)).toEqual({ status: USED, events: [] });
    expect(plan(BOUND, volume('pv-1', 'Bound')).status.lastPodRefAt).toBe('');
  });

  it.each<[string, PersistentVolume, string]>([
    ['is released', volume('pv-1', 'Released'), 'Released'],
    ['loses its claim', volume('pv-1', 'Available', null), 'Available'],
  ])('was a claim, once the persistent volume %s', (_case, pv, pvStatus) => {
    const history = { ...USED, pvStatus, lastPVCRefAt: NOW, lastPodRefAt: NOW };
    expect(plan(USED, pv, PODS)).toEqual({ status: history, events: [] });
    expect(plan(BOUND, pv)).toEqual({ status: { ...BOUND, pvStatus, lastPVCRefAt: NOW }, events: [] });
    const older = { ...history, lastPVCRefAt: EARLIER, lastPodRefAt: EARLIER };
    expect(plan(older, pv)).toEqual({ status: older, events: [] });
  });

  it('is a claim again', () => {
    const older = { ...USED, pvStatus: 'Released', lastPVCRefAt: EARLIER, lastPodRefAt: EARLIER };
    const other = volume('pv-1', 'Bound', { namespace: 'shop', name: 'other' });
    const expected = { ...USED, pvcName: 'other', lastPodRefAt: EARLIER };
    expect(plan(older, other)).toEqual({ status: expected, events: [] });
  });

  it('is told anew for another persistent volume', () => {
    const before = { ...USED, pvName: 'pv-0', lastPVCRefAt: EARLIER };
    const expected = status({ pvName: 'pv-1', pvStatus: 'Available' });
    expect(plan(before, volume('pv-1', 'Available', null))).toEqual({ status: expected, events: [START] });
    expect(plan(before, volume('pv-1', 'Bound'))).toEqual({ status: BOUND, events: [START] });
  });

  it('is history, once the persistent volume is gone', () => {
    const gone = { ...USED, pvName: '', pvStatus: '', lastPVCRefAt: NOW, lastPodRefAt: NOW };
    expect(plan(USED, null)).toEqual({ status: gone, events: [STOP] });
    expect(plan(gone, null)).toEqual({ status: gone, events: [] });
    const unclaimed = status({ pvName: 'pv-1', pvStatus: 'Available' });
    expect(plan(unclaimed, null)).toEqual({ status: status(), events: [STOP] });
  });
});

describe('a persistent volume that is bound without a claim', () => {
  const problem = 'BUG: current Persistent Volume pv-1 is in Bound phase but has no ClaimRef field';
  it.each<[string, PersistentVolume | null, KubernetesStatus, string | null]>([
    ['is a problem', volume('pv-1', 'Bound', null), BOUND, problem],
    ['is one for a volume that it is new to', volume('pv-1', 'Bound', null), status(), problem],
    [
      'is none any more when the claim is history',
      volume('pv-1', 'Bound', null),
      { ...BOUND, lastPVCRefAt: NOW },
      null,
    ],
    ['is one again for another', volume('pv-1', 'Bound', null), { ...BOUND, pvName: 'x', lastPVCRefAt: NOW }, problem],
    ['is none with its claim', volume('pv-1', 'Bound'), BOUND, null],
    ['is none when it is not bound', volume('pv-1', 'Available', null), BOUND, null],
    ['is none when it is gone', null, BOUND, null],
  ])('%s', (_case, pv, before, expected) => {
    expect(useProblem({ pv, before })).toBe(expected);
  });
});

describe('of several persistent volumes of one volume', () => {
  const older = volume('a', 'Released', CLAIM, EARLIER);
  const newer = volume('b', 'Released', CLAIM, NOW);
  const bound = volume('c', 'Bound', CLAIM, EARLIER);
  it.each<[string, PersistentVolume[], string, string | null]>([
    ['none counts when there is none', [], 'a', null],
    ['the bound one counts', [older, newer, bound], 'a', 'c'],
    ['the one that did counts', [older, newer], 'a', 'a'],
    ['the newest counts', [older, newer], '', 'b'],
    ['of two bound ones the one that did counts', [volume('z', 'Bound', CLAIM, NOW), bound], 'c', 'c'],
  ])('%s', (_case, all, before, expected) => {
    expect(choosePersistentVolume(all, before)?.metadata.name ?? null).toBe(expected);
    expect(choosePersistentVolume(all.toReversed(), before)?.metadata.name ?? null).toBe(expected);
  });
});
