/** `npm run e2e -- [FILTER | -t NAME]`: the end-to-end tests alone, or some of them. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

const { status } = spawnSync('vitest', ['run', '--config', 'packages/e2e/vitest.config.ts', ...process.argv.slice(2)], {
  cwd: resolve(import.meta.dirname, '..'),
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
