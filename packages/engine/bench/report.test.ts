import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atLeast, atMost, type Demand, type Figure } from './cases/bench-case.ts';
import { JOBS, type Result } from './jobs.ts';
import {
  addFigures,
  addIdlePss,
  addResult,
  loadRounds,
  median,
  missedByFigures,
  missedByJobs,
  storeRounds,
  tableOfFigures,
  tableOfJobs,
  verdictOf,
  type Rounds,
} from './report.ts';

const READ = '4k random read QD16';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bench-report-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const result = (iops: number, cpuUsPerIo = 10): Result => ({ iops, latencyUs: 100, mbPerSecond: 1, cpuUsPerIo });
const none = (): Rounds => ({ jobs: {}, idlePssMb: {}, figures: {} });

function rounds(job: string, ours: readonly Result[], quorum: readonly Result[]): Rounds {
  const made = none();
  for (const one of ours) addResult(made, job, 'ours', one);
  for (const one of quorum) addResult(made, job, 'quorum', one);
  return made;
}

const iops = (...values: number[]): Result[] => values.map((value) => result(value));

describe('what jobs miss', () => {
  it.each([
    {
      name: 'nothing when the medians reach the ratio, with at most half of the CPU time',
      made: rounds(READ, [result(10), result(300, 5), result(400, 5)], iops(100, 100, 100)),
      missed: [],
    },
    {
      name: 'a ratio of medians below what is demanded',
      made: rounds(READ, [result(900, 1), result(290, 1), result(10, 1)], iops(100, 1, 900)),
      missed: [`${READ}: IOPS by the quorum's: 2.90, at least 3 is demanded`],
    },
    {
      name: 'CPU time above what is allowed',
      made: rounds(READ, [result(300, 6)], [result(100, 10)]),
      missed: [`${READ}: CPU per I/O by the quorum's: 0.60, at most 0.5 is demanded`],
    },
    {
      name: 'no CPU time of large I/O',
      made: rounds('128k write QD16', [result(80, 99)], [result(100, 10)]),
      missed: [],
    },
    { name: 'nothing without the yardstick', made: rounds(READ, iops(1), []), missed: [] },
  ])('is $name', ({ made, missed }) => {
    expect(missedByJobs(made, JOBS)).toEqual(missed);
  });
});

describe('the table of jobs', () => {
  it('has a line for each system but the yardstick, with demands on ours only', () => {
    const made = rounds(READ, [result(300, 6), result(100, 6)], iops(100, 100));
    addResult(made, READ, 'peer', result(50, 20));
    const [, ours, peer, ...others] = tableOfJobs(made, JOBS).split('\n');
    expect(ours).toMatch(
      /^4k random read QD16 +ours +2 +300 +100 +3\.00 +1\.00\.\.3\.00 +>= 3 +met +6 +10 +0\.60 +<= 0\.5 +missed$/,
    );
    expect(peer).toMatch(/^4k random read QD16 +peer +1 +50 +100 +0\.50 +0\.50\.\.0\.50 +20 +10 +2\.00$/);
    expect(others).toEqual([]);
  });

  it('has no ratios where the yardstick is missing, or is all that there is', () => {
    expect(tableOfJobs(rounds(READ, iops(300), []), JOBS).split('\n')[1]).toMatch(
      /^4k random read QD16 +ours +1 +300 +10$/,
    );
    expect(tableOfJobs(rounds(READ, [], iops(300)), JOBS).split('\n')[1]).toMatch(
      /^4k random read QD16 +quorum +1 +300 +10$/,
    );
  });

  it('ends with the memory of idle processes', () => {
    const made = rounds(READ, iops(1), []);
    addIdlePss(made, 'ours', 143.4e6);
    expect(tableOfJobs(made, JOBS).split('\n').at(-1)).toBe('ours: 143 MB PSS idle, all processes');
  });
});

const figure = (value: number, demand: Demand | null, detail = ''): Figure => ({
  name: 'pause',
  value,
  unit: 'ms',
  demand,
  detail,
});

describe('figures of cases', () => {
  it.each([
    { name: 'above a least', values: [1, 3, 5], demand: atLeast(3), missed: [] },
    {
      name: 'below a least',
      values: [1, 2, 5],
      demand: atLeast(3),
      missed: ['pause, ms: 2.00, at least 3 is demanded'],
    },
    { name: 'below a most', values: [1, 3, 500], demand: atMost(3), missed: [] },
    {
      name: 'above a most',
      values: [1, 12.34, 500],
      demand: atMost(3),
      missed: ['pause, ms: 12.3, at most 3 is demanded'],
    },
    { name: 'without a demand', values: [1], demand: null, missed: [] },
    {
      name: 'that is no number',
      values: [Number.NaN],
      demand: atMost(3),
      missed: ['pause, ms: NaN, at most 3 is demanded'],
    },
  ])('judges a median $name', ({ values, demand, missed }) => {
    const made = none();
    for (const value of values) addFigures(made, [figure(value, demand)]);
    expect(missedByFigures(made)).toEqual(missed);
  });

  it('are a table of medians, each with the detail of the last run', () => {
    const made = none();
    addFigures(made, [figure(120, atMost(100), 'first')]);
    addFigures(made, [figure(80, atMost(100), 'second')]);
    addFigures(made, [figure(90.04, atMost(100), 'third')]);
    const [, line, detail, ...others] = tableOfFigures(made).split('\n');
    expect(line).toMatch(/^pause +3 +90\.0 +80\.0\.\.120 +ms +<= 100 +met$/);
    expect([detail, ...others]).toEqual(['    third']);
  });
});

describe('a file of results', () => {
  it('adds runs up', () => {
    const file = join(folder, 'rounds.json');
    const first = rounds(READ, iops(100, 100), iops(100, 100));
    addFigures(first, [figure(1, atMost(2))]);
    storeRounds(file, first);
    const more = loadRounds(file);
    for (let i = 0; i < 3; i++) addResult(more, READ, 'ours', result(300, 1));
    for (let i = 0; i < 3; i++) addResult(more, READ, 'quorum', result(100));
    addFigures(more, [figure(5, atMost(2)), figure(6, atMost(2))]);
    expect(missedByJobs(more, JOBS)).toEqual([]);
    expect(tableOfJobs(more, JOBS).split('\n')[1]).toMatch(/ 5 +300 +100 +3\.00 +1\.00\.\.3\.00 /);
    expect(missedByFigures(more)).toEqual(['pause, ms: 5.00, at most 2 is demanded']);
  });

  it('of a time before there were figures is read as one without', () => {
    const file = join(folder, 'rounds.json');
    writeFileSync(file, JSON.stringify({ jobs: { [READ]: { ours: iops(1) } } }));
    expect(loadRounds(file)).toEqual({ jobs: { [READ]: { ours: iops(1) } }, idlePssMb: {}, figures: {} });
  });

  it('that is not there is empty, and without a name nothing is stored', () => {
    expect(loadRounds(join(folder, 'nothing'))).toEqual(none());
    storeRounds('', none());
    expect(loadRounds('')).toEqual(none());
  });
});

describe('numbers', () => {
  it('have the upper one of two in the middle as their median', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 3, 0]);
  });

  it('are judged as demanded', () => {
    expect([verdictOf(1, null), verdictOf(2, atLeast(2)), verdictOf(2, atMost(1))]).toEqual(['', 'met', 'missed']);
  });
});
