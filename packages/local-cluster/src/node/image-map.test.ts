import { describe, expect, it } from 'vitest';
import { builtImages, canonicalImage, commandLine, repositoryName, type Image } from './image-map.ts';

describe('image names', () => {
  it.each([
    ['longhornio/longhorn-manager:v1.10.1', 'longhorn-manager'],
    ['registry:5000/a/longhorn-ui', 'longhorn-ui'],
    ['longhorn-engine@sha256:0', 'longhorn-engine'],
  ])('%s is %s', (image, name) => {
    expect(repositoryName(image)).toBe(name);
  });
  it('become folders as upstream names them', () => {
    expect(canonicalImage('longhornio/longhorn-engine:v1.10.1')).toBe('longhornio-longhorn-engine-v1.10.1');
  });
});

describe('commandLine', () => {
  const image = builtImages('/p').get('longhorn-instance-manager') as Image;
  const main = '/p/instance-manager/dist/longhorn-instance-manager';
  it.each<[string, string[], string[], string[] | string]>([
    ['a command names a program of the image', ['longhorn', 'version'], [], ['/p/engine/dist/longhorn', 'version']],
    ['arguments may name it', [], ['instance-manager', '--debug', 'daemon'], [main, '--debug', 'daemon']],
    ['without one the main program runs', [], ['daemon'], [main, 'daemon']],
    [
      'another command is refused',
      ['/bin/sh', '-c', 'x'],
      [],
      expect.stringContaining('has no program "/bin/sh"') as string,
    ],
  ])('%s', (_name, command, args, wanted) => {
    expect(commandLine(image, command, args)).toEqual(wanted);
  });
});
