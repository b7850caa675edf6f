/**
 * `npm run e2e`: the end-to-end tests.
 *
 *     npm run e2e [-- --keep …]                   on the Kubernetes cluster of KUBECONFIG (packages/e2e/kind/run.ts)
 *     npm run e2e -- --local [FILTER | -t NAME]   on local-cluster: processes of this machine, as `npm test` does
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { addToSummary, countsOf } from './test-counts.ts';

const words = process.argv.slice(2);
const root = resolve(import.meta.dirname, '..');
const spawn = (program: string, args: string[], env: NodeJS.ProcessEnv = {}): number | null =>
  spawnSync(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } }).status;

if (words.includes('--local')) {
  const others = words.filter((word) => word !== '--local');
  process.exitCode = spawn('vitest', ['run', '--config', 'packages/e2e/vitest.config.ts', ...others]) ?? 1;
} else {
  const scratch = mkdtempSync(join(tmpdir(), 'longhorn-e2e-'));
  const report = join(scratch, 'report.json');
  const status = spawn('node', ['packages/e2e/kind/run.ts', ...words], { E2E_REPORT: report });
  addToSummary('tests on Kubernetes', countsOf(report, status));
  rmSync(scratch, { recursive: true });
  process.exitCode = status ?? 1;
}
