import { describe, expect, it } from 'vitest';
import { parseMountInfo } from './mount-table.ts';

describe('the mount table', () => {
  it('is read with any number of optional fields, and with escaped blanks', () => {
    const text = [
      '36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue',
      '40 35 7:3 / /stage ro - xfs /dev/longhorn/v rw,nouuid',
      'not a line',
      '',
    ].join('\n');
    expect(parseMountInfo(text)).toEqual([
      {
        device: '98:0',
        root: '/mnt1',
        path: '/mnt 2',
        options: ['rw', 'noatime'],
        fsType: 'ext3',
        source: '/dev/root',
        superOptions: ['rw', 'errors=continue'],
      },
      {
        device: '7:3',
        root: '/',
        path: '/stage',
        options: ['ro'],
        fsType: 'xfs',
        source: '/dev/longhorn/v',
        superOptions: ['rw', 'nouuid'],
      },
    ]);
  });
});
