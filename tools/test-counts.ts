/** Counts of vitest's JSON reports, and the summary of a run for CI. */
import { appendFileSync, readFileSync } from 'node:fs';

export interface Counts {
  passed: number;
  failed: number;
}

/** Of a report; `status` is vitest's exit code, and a run that failed has at least one failure. No report: one failure. */
export function countsOf(report: string, status: number | null): Counts {
  try {
    const found = JSON.parse(readFileSync(report, 'utf8')) as { numPassedTests: number; numFailedTests: number };
    return { passed: found.numPassedTests, failed: Math.max(found.numFailedTests, status === 0 ? 0 : 1) };
  } catch (error) {
    console.error(`no report ${report}: ${String(error)}`);
    return { passed: 0, failed: 1 };
  }
}

/** Adds `passed|failed NAME COUNT` to the file that TEST_SUMMARY names, if it does. */
export function addToSummary(name: string, { passed, failed }: Counts): void {
  const summary = process.env['TEST_SUMMARY'] ?? '';
  if (summary === '') return;
  const word = name.replaceAll(' ', '-');
  appendFileSync(summary, `passed ${word} ${passed}\nfailed ${word} ${failed}\n`);
}
