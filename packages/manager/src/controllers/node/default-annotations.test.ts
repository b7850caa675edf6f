import { describe, expect, it } from 'vitest';
import { parseDefaultDisks, parseDefaultTags } from './default-annotations.ts';

const DISKS = 'annotation node.longhorn.io/default-disks-config is not applied: ';

describe('the annotation of default disks', () => {
  it('has disks with all that is said about them, and defaults for the rest', () => {
    const text =
      '[{"name":"fast","path":"/mnt/disk1/","allowScheduling":true,"storageReserved":1024,"tags":["ssd","a","ssd"],"diskType":"filesystem"},{"path":"/mnt/disk2"}]';
    expect(parseDefaultDisks(text)).toEqual([
      { name: 'fast', path: '/mnt/disk1', allowScheduling: true, reservedBytes: 1024, tags: ['a', 'ssd'] },
      { name: '', path: '/mnt/disk2', allowScheduling: false, reservedBytes: null, tags: [] },
    ]);
  });

  it.each([
    ['', 'it is no JSON'],
    ['[{"path":"/mnt/disk1"}', 'it is no JSON'],
    ['{"path":"/mnt/disk1"}', 'it is no list'],
    ['["/mnt/disk1"]', 'disk 1: it is no object'],
    ['[{"path":"/a"},{}]', 'disk 2: path must be absolute, it is ""'],
    ['[{"path":"mnt"}]', 'disk 1: path must be absolute, it is "mnt"'],
    ['[{"path":"/mnt/../etc"}]', 'disk 1: path must be absolute, it is "/mnt/../etc"'],
    ['[{"path":"/a","name":1}]', 'disk 1: name must be a string'],
    ['[{"path":"/a","allowScheduling":"yes"}]', 'disk 1: allowScheduling must be true or false'],
    ['[{"path":"/a","storageReserved":"1Gi"}]', 'disk 1: storageReserved must be a number of bytes, it is "1Gi"'],
    ['[{"path":"/a","storageReserved":-1}]', 'disk 1: storageReserved must be a number of bytes, it is -1'],
    ['[{"path":"/a","diskType":"block"}]', 'disk 1: diskType must be filesystem, it is "block"'],
    ['[{"path":"/a","tags":"ssd"}]', 'disk 1: tags must be a list of strings'],
    ['[{"path":"/a","tags":[1]}]', 'disk 1: the tag 1 is no string'],
    ['[{"path":"/a"},{"path":"/a/"}]', 'two disks have the path /a'],
    ['[{"path":"/a","name":"x"},{"path":"/b","name":"x"}]', 'two disks have the name x'],
  ])('%s is refused', (text, problem) => {
    expect(() => parseDefaultDisks(text)).toThrow(`${DISKS}${problem}`);
    expect(() => parseDefaultDisks(text)).toThrow('Expected is [{"name":"fast","path":"/mnt/disk1",');
  });
});

describe('the annotation of default tags', () => {
  it('has tags', () => {
    expect(parseDefaultTags('["storage","fast","fast"]')).toEqual(['fast', 'storage']);
  });

  it.each([
    ['fast', 'it is no JSON'],
    ['"fast"', 'it is no list'],
    ['[{"a":1}]', 'the tag {"a":1} is no string'],
    ['["a b"]', 'a b'],
  ])('%s is refused', (text, problem) => {
    const start = 'annotation node.longhorn.io/default-node-tags is not applied: ';
    expect(() => parseDefaultTags(text)).toThrow(start);
    expect(() => parseDefaultTags(text)).toThrow(problem);
    expect(() => parseDefaultTags(text)).toThrow('Expected is ["fast","storage"]');
  });
});
