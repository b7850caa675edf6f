import { describe, expect, it } from 'vitest';
import { newObject, type Volume } from '@longhorn/shared-types';
import {
  cloneResumesAtMs,
  cloneSnapshotName,
  cloneStage,
  hasOneReplica,
  isAttachedForClone,
  isIncomplete,
  needsSource,
  sourceOfCopy,
  type CloneStage,
} from './clone-stage.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const LATER = '2026-01-01T00:01:00Z';
const EARLIER = '2025-12-31T23:59:00Z';

function copy(dataSource: string, state: string, attemptCount = 1, nextAllowedAttemptAt = LATER): Volume {
  const volume = newObject('Volume', 'ns', 'v');
  volume.spec.dataSource = dataSource;
  Object.assign(volume.status.cloneStatus, { state, attemptCount, nextAllowedAttemptAt });
  return volume;
}

describe('a copy', () => {
  it.each<[string, Volume, CloneStage, string]>([
    ['is none', copy('', ''), 'none', ''],
    ['is new', copy('vol://a', '', 0, ''), 'copying', 'a'],
    ['is being made', copy('snap://a/s', 'initiated'), 'copying', 'a'],
    ['has its data', copy('vol://a', 'copy-completed-awaiting-healthy'), 'awaiting', 'a'],
    ['is complete', copy('vol://a', 'completed'), 'completed', ''],
    ['failed a moment ago', copy('vol://a', 'failed'), 'resting', 'a'],
    ['failed a while ago', copy('vol://a', 'failed', 3, EARLIER), 'copying', 'a'],
    ['failed too often', copy('vol://a', 'failed', 10, EARLIER), 'given-up', 'a'],
    ['failed for good', copy('vol://a', 'failed', 0, ''), 'given-up', 'a'],
  ])('that %s', (_name, volume, stage, source) => {
    expect([cloneStage(volume, NOW), sourceOfCopy(volume)]).toEqual([stage, source]);
    expect(cloneResumesAtMs(volume, NOW)).toBe(stage === 'resting' ? Date.parse(LATER) : null);
  });

  it.each<[CloneStage, string]>([
    ['none', ''],
    ['copying', 'one-replica attached incomplete needs-source'],
    ['resting', 'one-replica incomplete needs-source'],
    ['awaiting', 'attached incomplete'],
    ['completed', ''],
    ['given-up', 'one-replica incomplete'],
  ])('in stage %s is %j', (stage, expected) => {
    const words = [
      hasOneReplica(stage) && 'one-replica',
      isAttachedForClone(stage) && 'attached',
      isIncomplete(stage) && 'incomplete',
      needsSource(stage) && 'needs-source',
    ].filter((word) => word !== false);
    expect(words.join(' ')).toBe(expected);
  });
});

it('the snapshot for a copy has the name that upstream gives it, by both uids', () => {
  const of = (uid: string): Volume => {
    const volume = newObject('Volume', 'ns', 'v');
    volume.metadata.uid = uid;
    return volume;
  };
  const name = cloneSnapshotName(
    of('5b0c4f3e-6f1c-4d0e-9a55-0f8f6f3f6a01'),
    of('0d0f9e5c-1111-4222-8333-444455556666'),
  );
  expect(name).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(name).not.toBe(
    cloneSnapshotName(of('0d0f9e5c-1111-4222-8333-444455556666'), of('5b0c4f3e-6f1c-4d0e-9a55-0f8f6f3f6a01')),
  );
});
