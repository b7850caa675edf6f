import { expect, it } from 'vitest';
import { isBeingMade, readersOf } from './copy-state.ts';
import { decodeResource } from './rest-decoder.ts';

const copy = (id: string, dataSource: string, state: string, nextAllowedAttemptAt = '', own = 'attached') =>
  decodeResource('volume', { id, dataSource, state: own, cloneStatus: { state, nextAllowedAttemptAt } });

it.each([
  ['', '', false],
  ['vol://a', '', true],
  ['snap://a/s', 'initiated', true],
  ['vol://a', 'copy-completed-awaiting-healthy', true],
  ['vol://a', 'completed', false],
  ['vol://a', 'failed', false],
])('a volume with data source %j in clone state %j is being made: %s', (dataSource, state, expected) => {
  expect(isBeingMade(copy('v', dataSource, state))).toBe(expected);
});

it('a volume is read by the copies of it that do not have its data', () => {
  const volumes = [
    copy('new', 'vol://a', ''),
    copy('going', 'snap://a/s', 'initiated'),
    copy('again', 'vol://a', 'failed', '2026-01-01T00:00:00Z'),
    copy('over', 'vol://a', 'failed'),
    copy('copied', 'vol://a', 'copy-completed-awaiting-healthy'),
    copy('done', 'vol://a', 'completed'),
    copy('leaving', 'vol://a', 'initiated', '', 'deleting'),
    copy('other', 'vol://b', 'initiated'),
    copy('plain', '', ''),
  ];
  expect(readersOf('a', volumes)).toEqual(['again', 'going', 'new']);
});
