import { describe, expect, it } from 'vitest';
import { upgradeRefusal } from './version-path.ts';

/** from, to, checked, refusal (null: taken) */
const CASES: [string, string, boolean, string | null][] = [
  ['', 'v1.10.1', true, null],
  ['v1.10.1', 'v1.10.1', true, null],
  ['v1.10.0', 'v1.10.1', true, null],
  ['v1.9.2', 'v1.10.1', true, null],
  ['1.9.2', '1.10.1', true, null],
  ['v1.10.1-rc1', 'v1.10.1', true, null],
  ['v1.10.1', 'v1.11.0-dev', true, null],
  ['v1.30.0', 'v2.0.0', true, null],
  [
    'v1.8.9',
    'v1.10.1',
    true,
    'failed to upgrade since upgrading from v1.8.9 to v1.10.1 for minor version is not supported',
  ],
  ['v1.10.2', 'v1.10.1', true, 'failed to upgrade since downgrading from v1.10.2 to v1.10.1 is not supported'],
  ['v1.11.0', 'v1.10.1', true, 'failed to upgrade since downgrading from v1.11.0 to v1.10.1 is not supported'],
  ['v1.10.1', 'v1.10.1-rc2', true, 'failed to upgrade since downgrading from v1.10.1 to v1.10.1-rc2 is not supported'],
  [
    'v1.10.1-rc10',
    'v1.10.1-rc.2',
    true,
    'failed to upgrade since downgrading from v1.10.1-rc10 to v1.10.1-rc.2 is not supported',
  ],
  [
    'v2.0.0',
    'v1.10.1',
    true,
    'failed to upgrade since downgrading from v2.0.0 to v1.10.1 for major version is not supported',
  ],
  [
    'v1.30.0',
    'v3.0.0',
    true,
    'failed to upgrade since upgrading from v1.30.0 to v3.0.0 for major version is not supported',
  ],
  [
    'v1.29.0',
    'v2.0.0',
    true,
    'failed to upgrade since upgrading major version with minor version under 30 is not supported',
  ],
  ['v1.9.0', 'latest', true, 'failed to upgrade since upgrading version latest is not valid'],
  ['nine', 'v1.10.1', true, 'failed to upgrade since the current version nine is not valid'],
  ['v1.5.0', 'v1.10.1', false, null],
  ['v1.11.0', 'v1.10.1', false, null],
  [
    'v1.3.9',
    'v1.10.1',
    false,
    'failed to skip the upgrade check for v1.3.9 to upgrade to v1.10.1, as it only supports the current version larger than v1.4.0',
  ],
];

describe('the way from one version to another', () => {
  it.each(CASES)('%j to %s, checked %s: %j', (current, wanted, isChecked, refusal) => {
    expect(upgradeRefusal(current, wanted, isChecked)).toBe(refusal);
  });
});
