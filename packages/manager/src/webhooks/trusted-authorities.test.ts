import { describe, expect, it } from 'vitest';
import { CA_VALID_MS, makeCa } from './certificates.ts';
import { trustedAuthorities } from './trusted-authorities.ts';
import { webhookLimits } from './webhook-limits.ts';

const NOW_MS = Date.parse('2026-11-21T12:00:00Z');
const HOUR_MS = 3_600_000;
const LATER = '2026-11-21T13:00:00Z';
const SERIAL = Buffer.from('8123456789abcdef', 'hex');
const ca = (madeAtMs: number): string => makeCa(madeAtMs, SERIAL).certificatePem;

describe('trusted authorities', () => {
  const [oldest, old, now] = [ca(NOW_MS - 2 * HOUR_MS), ca(NOW_MS - HOUR_MS), ca(NOW_MS)];
  const expired = ca(NOW_MS - CA_VALID_MS - HOUR_MS);

  it.each([
    ['the first one', '', '', now, ''],
    ['one that is known', now, '', now, ''],
    ['a new one, and the one before it for an hour', old, '', now + old, LATER],
    ['both within the hour', now + old, '2026-11-21T12:00:01Z', now + old, '2026-11-21T12:00:01Z'],
    ['only the new one after the hour', now + old, '2026-11-21T12:00:00Z', now, ''],
    ['no other that nobody speaks of', now + old, '', now, ''],
    ['a third one, and both before it', old + oldest, '2026-11-21T12:30:00Z', now + old + oldest, LATER],
    ['none that has expired', expired, '', now, ''],
    ['nothing that is no certificate', `x${old.replace('MII', '???')}`, '', now, ''],
  ])('are %s', (_case, pem, previousUntil, wanted, wantedUntil) => {
    expect(trustedAuthorities(now, { pem, previousUntil }, NOW_MS)).toEqual({
      pem: wanted,
      previousUntil: wantedUntil,
    });
  });

  it('do not grow without end', () => {
    let held = { pem: '', previousUntil: '' };
    for (let minute = 0; minute < 20; minute += 1)
      held = trustedAuthorities(ca(NOW_MS + minute * 60_000), held, NOW_MS + minute * 60_000);
    expect(held.pem.match(/BEGIN/g)).toHaveLength(1 + webhookLimits.previousCasMax);
  });
});
