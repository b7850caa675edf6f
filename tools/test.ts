/**
 * `npm test`: lint, format, types, unit tests, end-to-end tests, in this order; all are run, the first failure decides the
 * exit code. `--fast` leaves the end-to-end tests out. TEST_SUMMARY names a file that gets a line `passed|failed NAME COUNT` each.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { addToSummary, countsOf, type Counts } from './test-counts.ts';

const root = resolve(import.meta.dirname, '..');
const fast = process.argv.includes('--fast');
const scratch = mkdtempSync(join(tmpdir(), 'longhorn-test-'));

interface Stage {
  name: string;
  program: string;
  args: string[];
  /** vitest writes its counts here */
  report?: string;
}

function vitest(name: string, args: string[]): Stage {
  const report = join(scratch, `${name.replace(/\W/g, '-')}.json`);
  return {
    name,
    program: 'vitest',
    args: ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
    report,
  };
}

const stages: Stage[] = [
  { name: 'lint', program: 'oxlint', args: ['--type-aware'] },
  { name: 'format', program: 'prettier', args: ['--check', '--log-level', 'warn', '.'] },
  { name: 'types', program: 'tsc', args: ['--noEmit'] },
  vitest('unit tests', []),
  ...(fast ? [] : [vitest('end-to-end tests', ['--config', 'packages/e2e/vitest.config.ts'])]),
];

/** Tests that passed and failed; a stage without a report counts as one. */
function counts({ report }: Stage, status: number | null): Counts {
  if (report !== undefined) return countsOf(report, status);
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

const total = { passed: 0, failed: 0 };
for (const stage of stages) {
  console.log(`\n── ${stage.name}`);
  const start = performance.now();
  const { status } = spawnSync(stage.program, stage.args, { cwd: root, stdio: 'inherit' });
  const { passed, failed } = counts(stage, status);
  total.passed += passed;
  total.failed += failed;
  console.log(
    `── ${stage.name}: ${passed} passed, ${failed} failed, ${((performance.now() - start) / 1000).toFixed(0)} s`,
  );
  addToSummary(stage.name, { passed, failed });
}
rmSync(scratch, { recursive: true, force: true });
console.log(`\n${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
