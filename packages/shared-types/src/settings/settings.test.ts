import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { addedSettings } from './beyond-longhorn.ts';
import {
  isSettingName,
  normalizeSetting,
  parseSetting,
  settingDefinition,
  SETTINGS,
  validateSetting,
  type SettingName,
} from './settings.ts';

interface GoldenSetting {
  displayName: string;
  type: string;
  category: string;
  required: boolean;
  readOnly: boolean;
  default: string;
  dataEngineSpecific: boolean;
  range?: object;
  floatRange?: object;
  options?: unknown[];
}

const golden: Record<string, GoldenSetting> = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../test/golden/v1.10.1/settings.json'), 'utf8'),
);

describe('settings', () => {
  it('are those of upstream and the listed additions', () => {
    expect(Object.keys(SETTINGS).toSorted()).toEqual(
      [...Object.keys(golden), ...Object.keys(addedSettings)].toSorted(),
    );
    expect(Object.keys(golden)).toHaveLength(97);
  });

  it.each(Object.keys(golden))('%s is defined as upstream defines it', (name) => {
    const { description, ...definition } = settingDefinition(name as SettingName);
    expect(definition).toEqual({ range: null, floatRange: null, options: [], ...golden[name] });
    expect(description).not.toBe('');
  });

  it.each(Object.keys(SETTINGS))('%s has a default that is valid and normal, where it has one', (name) => {
    const value = settingDefinition(name as SettingName).default;
    const problem =
      value === '' && settingDefinition(name as SettingName).required ? null : validateSetting(name, value);
    expect(problem).toBeNull();
    expect(normalizeSetting(name as SettingName, value)).toBe(value);
  });
});

describe('validateSetting', () => {
  it.each([
    ['default-replica-count', '3'],
    ['default-replica-count', '{"v1":"2","v2":"3"}'],
    ['guaranteed-instance-manager-cpu', '12.5'],
    ['auto-salvage', 'False'],
    ['taint-toleration', 'a=b:NoSchedule;c:;:'],
    ['snapshot-data-integrity-cronjob', '@every 1h'],
    ['snapshot-data-integrity-cronjob', '0 0 1-15/2 jan,feb mon-fri'],
    ['storage-network', 'kube-system/net'],
    ['default-volume-size', '1.5Gi'],
    ['blockdev-driver', 'fuse'],
  ])('takes %s = %s', (name, value) => {
    expect(validateSetting(name, value)).toBeNull();
  });

  it.each([
    ['no-such', '1', 'setting no-such is not supported'],
    ['default-replica-count', '21', 'should be less than or equal to 20'],
    ['default-replica-count', '0', 'should be larger than or equal to 1'],
    ['default-replica-count', '1.5', 'must be an integer'],
    ['default-replica-count', '0x5', 'must be an integer'],
    ['default-replica-count', '{"v1":2,"v2":"2"}', 'values must be strings'],
    ['default-replica-count', '{"v1":"2"}', 'mismatched data engines for setting Default Replica Count'],
    ['default-replica-count', '{"v1":"2","v3":"2"}', 'data engine v3 is not supported'],
    ['auto-salvage', '{"v1":"true"}', 'JSON-formatted value is not supported'],
    ['auto-salvage', 'maybe', 'must be true or false'],
    ['auto-salvage', '', "shouldn't be empty"],
    ['default-data-locality', 'far', 'is not a valid choice, available choices [disabled best-effort strict-local]'],
    ['default-backup-block-size', '4', 'available choices [2 16]'],
    ['guaranteed-instance-manager-cpu', '41', 'should be less than or equal to 40'],
    ['taint-toleration', 'a=b:Never', 'invalid effect: Never'],
    ['taint-toleration', 'a=b', 'missing key/value and effect pair'],
    ['system-managed-components-node-selector', 'a=b', "should contain the separator ':'"],
    ['storage-network', 'net', 'storage network must be in'],
    ['snapshot-data-integrity-cronjob', '61 * * * *', 'invalid cron job format: 61 * * * *'],
    ['snapshot-data-integrity-cronjob', '* * * *', 'expected exactly 5 fields, found 4'],
    ['snapshot-max-count', '251', 'should be between 2 and 250'],
    ['orphan-resource-auto-deletion', 'all', 'invalid orphan resource types: all'],
    ['default-volume-size', '-1Gi', 'should be a size above 0'],
    ['io-hold-timeout', '-1', 'should be larger than or equal to 0'],
    ['blockdev-driver', 'iscsi', 'available choices [auto fuse nbd]'],
    ['volume-qos', 'fast', 'should be empty'],
  ])('refuses %s = %j and names both', (name, value, message) => {
    const problem = validateSetting(name, value);
    expect(problem).toContain(`failed to validate setting ${name} with invalid value ${value}: `);
    expect(problem).toContain(message);
  });
});

describe('normalizeSetting', () => {
  it.each([
    ['default-replica-count', ' 2 ', '{"v1":"2","v2":"2"}'],
    ['default-replica-count', '{"v2":"3", "v1":" 2","v3":"1"}', '{"v1":"2","v2":"3"}'],
    ['fast-replica-rebuild-enabled', 'T', '{"v1":"true","v2":"true"}'],
    ['guaranteed-instance-manager-cpu', '12.50', '{"v1":"12.5","v2":"12.5"}'],
    ['data-engine-cpu-mask', '0x3', '{"v2":"0x3"}'],
    ['auto-salvage', 'T', 'T'],
    ['default-replica-count', '{"v1":2}', '{"v1":2}'],
  ])('stores %s = %j as %s', (name, value, stored) => {
    expect(normalizeSetting(name as SettingName, value)).toBe(stored);
  });
});

describe('parseSetting', () => {
  it('reads values as their type, and the default where nothing is stored', () => {
    expect(parseSetting('default-replica-count', null)).toBe(3);
    expect(parseSetting('default-replica-count', '{"v1":"2","v2":"5"}', 'v2')).toBe(5);
    expect(parseSetting('default-replica-count', '4')).toBe(4);
    expect(parseSetting('auto-salvage', 'false')).toBe(false);
    expect(parseSetting('default-data-locality', null)).toBe('disabled');
  });

  it('throws for what is stored broken, naming the setting', () => {
    expect(() => parseSetting('auto-salvage', 'maybe')).toThrow('setting auto-salvage has value maybe');
    expect(() => parseSetting('data-engine-cpu-mask', null, 'v1')).toThrow('does not have a value for data engine v1');
  });

  it('knows its names', () => {
    expect(isSettingName('toString')).toBe(false);
  });
});
