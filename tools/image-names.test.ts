import { describe, expect, it } from 'vitest';
import { IMAGE_PACKAGES, imageNames, isImagePackage } from './image-names.ts';

describe('image names', () => {
  it('are those of the release and of the build', () => {
    expect(imageNames('engine', '', '1.10.1-ts.3')).toEqual([
      'longhornio/longhorn-engine:v1.10.1',
      'longhornio/longhorn-engine:v1.10.1-ts.3',
    ]);
  });

  it('follow the build variable', () => {
    expect(imageNames('instance-manager', 'localhost:5000/mine/{package}:dev', '1.10.1-ts.3')).toEqual([
      'localhost:5000/mine/instance-manager:dev',
    ]);
  });

  it.each(['longhornio/longhorn-manager:v1', '{package}', 'Registry/{package}:v1', 'r/{package}:', 'r/{package}:a b'])(
    'refuses %s and says how to write it',
    (pattern) => {
      expect(() => imageNames('manager', pattern, '1')).toThrow('registry.example/longhornio/longhorn-{package}:TAG');
    },
  );

  it('exist for the packages that run', () => {
    expect([...IMAGE_PACKAGES].toSorted()).toEqual(['csi', 'engine', 'instance-manager', 'manager', 'ui']);
    expect(['engine', 'local-cluster'].map(isImagePackage)).toEqual([true, false]);
  });
});
