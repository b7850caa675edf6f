/** `node tools/chart/generate.ts [--check]`: the made files of charts/longhorn; with --check a difference is an error. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chartFiles } from './render-values.ts';

const folder = resolve(import.meta.dirname, '../../charts/longhorn');
const stale = [...chartFiles()].filter(([name, content]) => {
  const path = join(folder, name);
  return !existsSync(path) || readFileSync(path, 'utf8') !== content;
});
if (!process.argv.includes('--check')) for (const [name, content] of stale) writeFileSync(join(folder, name), content);
else if (stale.length > 0) {
  console.error(`not up to date: ${stale.map(([name]) => name).join(', ')}; run node tools/chart/generate.ts`);
  process.exitCode = 1;
}
