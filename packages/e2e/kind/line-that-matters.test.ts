import { describe, expect, it } from 'vitest';
import { lineThatMatters, type Remains } from './line-that-matters.ts';

const NOTHING: Remains = { failure: 'pod e2e/writer is Ready: not within 180000 ms', pods: [], events: [], logs: {} };
const broken = {
  metadata: { name: 'longhorn-manager-x' },
  status: {
    containerStatuses: [{ name: 'manager', state: { waiting: { reason: 'ErrImagePull', message: 'not\nfound' } } }],
  },
};
const starting = {
  metadata: { name: 'writer' },
  status: { containerStatuses: [{ name: 'c', state: { waiting: { reason: 'ContainerCreating' } } }] },
};
const warning = (name: string, message: string, lastTimestamp: string): object => ({
  type: 'Warning',
  reason: 'FailedAttachVolume',
  message,
  lastTimestamp,
  involvedObject: { kind: 'Pod', name },
});
const logs = {
  'longhorn-manager-x': [
    '{"level":50,"key":"writer","msg":"no disk"}',
    '{"level":50,"key":"other","msg":"last of all"}',
    '{"level":30,"key":"writer","msg":"fine"}',
  ].join('\n'),
};

describe('the line that matters is', () => {
  it.each<[string, Partial<Remains>, string]>([
    [
      'a container that cannot run, before all else',
      { pods: [starting, broken], logs },
      'pod longhorn-manager-x: manager: ErrImagePull: not found',
    ],
    [
      'the newest warning about what the failure names',
      {
        logs,
        events: [
          warning('writer', 'new', '2026-01-01T00:00:02Z'),
          warning('writer', 'old', '2026-01-01T00:00:01Z'),
          warning('another', 'newest', '2026-01-01T00:00:03Z'),
        ],
      },
      'Pod writer: FailedAttachVolume: new',
    ],
    [
      'the last logged error about what the failure names',
      { logs },
      'longhorn-manager-x: {"level":50,"key":"writer","msg":"no disk"}',
    ],
    ['the failure itself', { pods: [starting] }, NOTHING.failure],
    [
      'no warning that was followed by success',
      {
        events: [
          { ...warning('writer', 'too early', '2026-01-01T00:00:01Z') },
          { ...warning('writer', 'Started', '2026-01-01T00:00:02Z'), type: 'Normal' },
        ],
      },
      NOTHING.failure,
    ],
  ])('%s', (_case, remains, line) => {
    expect(lineThatMatters({ ...NOTHING, ...remains })).toBe(line);
  });
});
