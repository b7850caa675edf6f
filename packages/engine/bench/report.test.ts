import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JOBS, type Result } from './jobs.ts';
import { addIdlePss, addResult, loadRounds, missedTargets, storeRounds, tableOf, type Rounds } from './report.ts';

const result = (iops: number): Result => ({ iops, latencyUs: 100, mbPerSecond: 1, cpuUsPerIo: 50 });

function rounds(job: string, ours: readonly number[], quorum: readonly number[], idleMib = 100): Rounds {
  const made: Rounds = { jobs: {}, idlePssMiB: {} };
  for (const iops of ours) addResult(made, job, 'ours', result(iops));
  for (const iops of quorum) addResult(made, job, 'quorum', result(iops));
  addIdlePss(made, 'ours', idleMib);
  return made;
}

describe('what a benchmark misses', () => {
  const read = '4k random read QD16';
  it.each([
    {
      name: 'nothing when the medians reach the ratio',
      made: rounds(read, [10, 200, 300], [100, 100, 100]),
      missed: [],
    },
    {
      name: 'a ratio of medians below what is demanded',
      made: rounds(read, [900, 190, 10], [100, 1, 900]),
      missed: [`${read}: 1.90 times the quorum, 2 is demanded`],
    },
    { name: 'nothing without the yardstick', made: rounds(read, [1], []), missed: [] },
    { name: 'nothing of a job without a demand', made: rounds('4k random read QD64', [1], [9]), missed: [] },
    {
      name: 'memory of idle processes above the limit',
      made: rounds(read, [200], [100], 250),
      missed: ['idle memory: 262 MB PSS, 260 MB are allowed'],
    },
  ])('is $name', ({ made, missed }) => {
    expect(missedTargets(made, JOBS)).toEqual(missed);
  });

  it('counts rounds of earlier calls', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-report-'));
    const file = join(folder, 'rounds.json');
    storeRounds(file, rounds(read, [100, 100], [100, 100]));
    const more = loadRounds(file);
    for (let i = 0; i < 3; i++) {
      addResult(more, read, 'ours', result(300));
      addResult(more, read, 'quorum', result(100));
    }
    rmSync(folder, { recursive: true });
    expect(missedTargets(more, JOBS)).toEqual([]);
    expect(tableOf(more, JOBS).split('\n')[1]).toMatch(
      /^4k random read QD16 +ours +5 +300 +100 +1 +50 +3\.00 +1\.00\.\.3\.00 +1\.00$/,
    );
  });
});
