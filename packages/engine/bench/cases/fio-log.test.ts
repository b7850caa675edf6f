import { describe, expect, it } from 'vitest';
import { distinctOffsets, longestMs, longestOutsideMs, meanWithin, parseFioLog } from './fio-log.ts';

const LOG = `1000, 2000000, 1, 4096, 8192, 0
1010, 50000000, 1, 4096, 4096, 0
1020, 3000000, 1, 4096, 8192, 0
1100, 70000000, 1, 4096, 0, 0
`;

describe('a log of fio', () => {
  const lines = parseFioLog(LOG);

  it('is read line by line, with and without the column of priorities', () => {
    expect(lines[1]).toEqual({ timeMs: 1010, value: 50_000_000, offset: 4096 });
    expect(parseFioLog('200, 11, 0, 0, 0\n')).toEqual([{ timeMs: 200, value: 11, offset: 0 }]);
  });

  it('is refused when a line is cut off', () => {
    expect(() => parseFioLog('1000, 20')).toThrow('not a line of a fio log: 1000, 20');
  });

  it('tells how many different blocks a span has, both ends included', () => {
    expect(distinctOffsets(lines, { fromMs: 1000, toMs: 1020 })).toBe(2);
    expect(distinctOffsets(lines, { fromMs: 1001, toMs: 1099 })).toBe(2);
    expect(distinctOffsets(lines, { fromMs: 1101, toMs: 2000 })).toBe(0);
  });

  it('tells the longest I/O within a span and outside of some', () => {
    expect(longestMs(lines, { fromMs: 1000, toMs: 1050 })).toBe(50);
    expect(longestMs(lines, { fromMs: 2000, toMs: 2050 })).toBe(0);
    expect(longestOutsideMs(lines, [{ fromMs: 1100, toMs: 1100 }])).toBe(50);
    expect(
      longestOutsideMs(lines, [
        { fromMs: 1100, toMs: 1100 },
        { fromMs: 1005, toMs: 1015 },
      ]),
    ).toBe(3);
  });

  it('tells the mean of averages, and refuses a span without any', () => {
    const averages = parseFioLog('200, 10, 1, 0, 0\n400, 30, 1, 0, 0\n600, 90, 1, 0, 0\n');
    expect(meanWithin(averages, { fromMs: 100, toMs: 400 })).toBe(20);
    expect(() => meanWithin(averages, { fromMs: 601, toMs: 900 })).toThrow('fio logged nothing between 601 and 900');
  });
});
