import { expect, it } from 'vitest';
import { isInside, parseMounts } from './mounts.ts';

it('reads mount points with blanks, and fields after optional ones', () => {
  const text = [
    '36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue',
    '40 22 0:41 / /run/a.backing rw - fuse.longhorn none rw',
    'garbage',
    '',
  ].join('\n');
  expect(parseMounts(text)).toEqual([
    { device: '98:0', point: '/mnt 2', type: 'ext3', source: '/dev/root' },
    { device: '0:41', point: '/run/a.backing', type: 'fuse.longhorn', source: 'none' },
  ]);
});

it('takes a folder for inside itself, and not for inside a longer name', () => {
  expect([isInside('/a/b', '/a'), isInside('/a', '/a'), isInside('/ab', '/a')]).toEqual([true, true, false]);
});
