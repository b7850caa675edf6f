import { describe, expect, it } from 'vitest';
import { type RangeMode, nextRangeStep } from './range-steps.ts';

const steps = (mode: RangeMode, offset: number, length: number): string[] => {
  const seen: string[] = [];
  for (let at = offset, rest = length; rest > 0;) {
    const { action, lengthBytes } = nextRangeStep(mode, at, rest);
    seen.push(`${action} ${at}+${lengthBytes}`);
    at += lengthBytes;
    rest -= lengthBytes;
  }
  return seen;
};
const MIB = 1 << 20;

describe('a range is put to the volume in pieces', () => {
  const cases: { name: string; mode: RangeMode; offset: number; length: number; expected: string[] }[] = [
    { name: 'whole sectors', mode: 'punch', offset: 4096, length: 8192, expected: ['unmap 4096+8192'] },
    {
      name: 'unaligned ends',
      mode: 'punch',
      offset: 512,
      length: 8192,
      expected: ['write-zeroes 512+3584', 'unmap 4096+4096', 'write-zeroes 8192+512'],
    },
    { name: 'within one sector', mode: 'punch', offset: 512, length: 1024, expected: ['write-zeroes 512+1024'] },
    {
      name: 'more than one piece',
      mode: 'punch',
      offset: 0,
      length: 257 * MIB,
      expected: [`unmap 0+${256 * MIB}`, `unmap ${256 * MIB}+${MIB}`],
    },
    {
      name: 'zeroing',
      mode: 'zero',
      offset: 512,
      length: MIB + 512,
      expected: [`write-zeroes 512+${MIB}`, `write-zeroes ${MIB + 512}+512`],
    },
  ];
  it.each(cases)('$mode, $name', ({ mode, offset, length, expected }) => {
    expect(steps(mode, offset, length)).toEqual(expected);
  });
});
