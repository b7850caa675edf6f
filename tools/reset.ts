/** `npm run reset`: removes the cluster of this checkout with all its data; refuses while it runs. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const folder = join(root, '.longhorn');
if (!existsSync(folder)) {
  process.stdout.write('There is nothing to remove: .longhorn does not exist.\n');
  process.exit(0);
}
// From its source: a reset must also work after a build that failed.
const program = join(root, 'packages/local-cluster/src/main.ts');
const done = spawnSync(process.execPath, [program, 'reset', '--dir', folder], { stdio: 'inherit' });
if (done.status === 0) process.stdout.write('Removed .longhorn with all volumes in it.\n');
process.exit(done.status ?? 1);
