/**
 * Writes the CRDs of the chart from the kinds:
 *
 *     npm run -w @longhorn/shared-types generate
 *
 * One file per kind in charts/longhorn/definitions. With --check nothing is written and a difference ends with status 1.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crdManifests } from './crd-manifests.ts';

const folder = join(import.meta.dirname, '../../../charts/longhorn/definitions');
const checkOnly = process.argv.includes('--check');
const manifests = crdManifests();

mkdirSync(folder, { recursive: true });
const present = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
const stale = [...present.keys()].filter((name) => !manifests.has(name));
const changed = [...manifests].filter(([name, content]) => present.get(name) !== content);

if (checkOnly) {
  const names = [...changed.map(([name]) => name), ...stale];
  if (names.length > 0) {
    console.error(`not up to date: ${names.join(', ')}; run npm run -w @longhorn/shared-types generate`);
    process.exitCode = 1;
  }
} else {
  for (const [name, content] of changed) writeFileSync(join(folder, name), content);
  for (const name of stale) rmSync(join(folder, name));
  console.log(`${manifests.size} CRDs, ${changed.length} written, ${stale.length} removed`);
}
