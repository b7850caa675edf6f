import { describe, expect, it } from 'vitest';
import { objectNameProblem, tagProblem, volumeNameProblem } from './name-rules.ts';
import {
  autoCorrectName,
  backingImageManagerName,
  backupVolumeName,
  deterministicUuid,
  engineImageName,
  generatedName,
  instanceManagerImageLabel,
  instanceManagerName,
  nextEngineName,
  orphanDataName,
  replicaName,
  shareManagerImageLabel,
} from './object-names.ts';
import { objectPath } from './resource-paths.ts';

const DISK = '11111111-2222-3333-4444-555555555555';
const IM_IMAGE = 'longhornio/longhorn-instance-manager:v1.10.1';

describe('names are those that upstream makes', () => {
  it.each([
    [engineImageName(' longhornio/longhorn-engine:v1.10.1 '), 'ei-3154f3aa'],
    [instanceManagerName('node-1', IM_IMAGE, 'v1'), 'instance-manager-f554027d1ae8c131ef86234182b8877b'],
    [instanceManagerName('node-1', IM_IMAGE, 'v2'), 'instance-manager-ab7e470877f9fb0fa6e269c2289be51d'],
    [instanceManagerImageLabel(IM_IMAGE), 'imi-9fecca02'],
    [shareManagerImageLabel('longhornio/longhorn-share-manager:v1.10.1'), 'smi-51210952'],
    [
      backingImageManagerName('longhornio/backing-image-manager:v1.10.1', DISK),
      'bim-ff2baa1d59e71a65c281835beecb2d11aedb700bfe0b5fdcce653e9f11082aea',
    ],
    [backupVolumeName('vol1', 'default'), 'vol1-912ea790'],
    [
      orphanDataName('node-1', 'disk-1', '/var/lib/longhorn/', DISK, 'vol1-r-abcdef12'),
      'orphan-d6c4defba1f64f2609bc7b04d332f196611554dff0ec13aa9bd3d58483c61945',
    ],
    [
      autoCorrectName('Very-Long-Volume-Name-That-Exceeds-Forty-Characters-For-Sure'),
      'very-long-volume-name-that-exce-b75360c2',
    ],
    [autoCorrectName('Short'), 'short'],
    [
      deterministicUuid('5d8209ef-87ee-422e-9fd7-5b400f985f315d8209ef-87ee-422e-9fd7-5b400f985f31'),
      '25bc2af7-30ea-50cf-afc7-900275ba5866',
    ],
    [nextEngineName('v', null), 'v-e-0'],
    [nextEngineName('v', 'v-e-7'), 'v-e-8'],
    [nextEngineName('v', 'odd'), 'v-e-1'],
    [replicaName('v', '0123abcdffff'), 'v-r-0123abcd'],
    [generatedName('snap', '0123456789abcdef0'), 'snap-0123456789abcdef'],
  ])('%s is %s', (made, expected) => {
    expect(made).toBe(expected);
  });

  it('refuses randomness that is too short', () => {
    expect(() => replicaName('v', 'abc')).toThrow('need 8 random hex digits');
  });
});

describe('volumeNameProblem', () => {
  it.each(['ab', 'my-volume-1', '0a', 'a'.repeat(40)])('takes %s', (name) => {
    expect(volumeNameProblem(name)).toBeNull();
  });

  it.each([
    ['', 'must not be empty'],
    ['a', 'at least 2 characters'],
    ['a'.repeat(41), 'must be at most 40 characters'],
    ['a'.repeat(300), 'has 300'],
    ['a/b', 'must be lower case letters, digits and dashes'],
    ['..', 'must be lower case letters, digits and dashes'],
    ['a..b', 'must be lower case letters, digits and dashes'],
    ['Upper', 'must be lower case letters, digits and dashes'],
    ['-a', 'with a letter or digit at both ends'],
    ['a-', 'with a letter or digit at both ends'],
    ['a\n', 'must be lower case letters'],
  ])('refuses %j with a word on what is allowed', (name, message) => {
    expect(volumeNameProblem(name)).toContain(message);
  });
});

describe('other names', () => {
  it('cannot leave their path', () => {
    expect(objectPath('Volume', 'longhorn-system', 'v', 'status')).toBe(
      '/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes/v/status',
    );
    for (const name of ['..', 'a/b', '', 'A', 'a'.repeat(254)]) {
      expect(objectNameProblem(name)).not.toBeNull();
      expect(() => objectPath('Volume', 'n', name)).toThrow('name must');
    }
  });

  it('are checked as tags', () => {
    expect(tagProblem('SSD_1.a')).toBeNull();
    expect(tagProblem('a b')).not.toBeNull();
    expect(tagProblem('')).not.toBeNull();
  });
});
