/**
 * `npm run e2e`: the end-to-end tests.
 *
 *     npm run e2e [-- --keep …]                   on the Kubernetes cluster of KUBECONFIG (packages/e2e/kind/run.ts)
 *     npm run e2e -- --local [FILTER | -t NAME]   on local-cluster: processes of this machine, as `npm test` does
 */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';

const words = process.argv.slice(2);
const isLocal = words.includes('--local');
const command = isLocal
  ? ['vitest', 'run', '--config', 'packages/e2e/vitest.config.ts', ...words.filter((word) => word !== '--local')]
  : ['node', 'packages/e2e/kind/run.ts', ...words];
const [program = '', ...args] = command;
const { status } = spawnSync(program, args, { cwd: resolve(import.meta.dirname, '..'), stdio: 'inherit' });
process.exitCode = status ?? 1;
