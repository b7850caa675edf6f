import { expect, it } from 'vitest';
import { newObject } from '@longhorn/shared-types';
import { planSnapshot } from './plan.ts';

it.each([
  ['that is being copied stays until the copy has its data', true, 'none', false],
  ['that nobody copies goes', false, 'remove', true],
])('a deleted snapshot %s', (_name, isBeingCopied, action, needsTicket) => {
  const snapshot = newObject('Snapshot', 'ns', 's');
  snapshot.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  const engine = newObject('Engine', 'ns', 'v-e-0');
  engine.status.currentState = 'running';
  const entry = { parent: '', children: {}, removed: false, usercreated: true, created: '', size: '0', labels: {} };
  engine.status.snapshots = { s: { ...entry, name: 's' }, 'volume-head': { ...entry, name: 'volume-head' } };
  const volume = newObject('Volume', 'ns', 'v');
  const plan = planSnapshot({ snapshot, volume, engine, purgeDisabled: false, isBeingCopied });
  expect([plan.action.kind, plan.needsTicket]).toEqual([action, needsTicket]);
  expect(plan.status.readyToUse).toBe(false);
});
