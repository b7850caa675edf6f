/**
 * `npm run e2e`: the end-to-end tests on the cluster that KUBECONFIG names (any that "kind create cluster" gives): builds and
 * loads images, installs the chart, runs the tests, uninstalls.
 *
 *     --full          also the long tests: crashes of nodes, drains, kills of every component, an upgrade
 *     --keep          leaves the system installed
 *     --no-build      images are in the local docker, and on the nodes
 *     -t NAME, FILE   only these tests (of an installation that is kept)
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enableAudit } from './audit.ts';
import { buildImages, buildStandIns, loadImages, ROOT } from './images.ts';
import { nodeInventory, objectInventory } from './inventory.ts';
import { confirmDeletion, isInstalled, uninstall } from './installation.ts';
import { checkNodes } from './nodes.ts';

interface Flags {
  isFull: boolean;
  keeps: boolean;
  builds: boolean;
  filters: string[];
}

function parse(words: readonly string[]): Flags {
  const filters = words.filter((word) => !['--full', '--keep', '--no-build'].includes(word));
  const has = (flag: string): boolean => words.includes(flag);
  return { isFull: has('--full'), keeps: has('--keep'), builds: !has('--no-build'), filters };
}

async function step(what: string, work: () => Promise<void>): Promise<void> {
  const start = performance.now();
  process.stdout.write(`${what} … `);
  await work();
  process.stdout.write(`${((performance.now() - start) / 1000).toFixed(0)} s\n`);
}

/** vitest's exit code. */
function runTests({ isFull, keeps, filters }: Flags, folder: string, isFresh: boolean): number {
  const config = join(import.meta.dirname, 'vitest.config.ts');
  const reports = [
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${process.env['E2E_REPORT'] ?? join(folder, 'report.json')}`,
  ];
  const { status } = spawnSync(
    join(ROOT, 'node_modules/.bin/vitest'),
    ['run', '--config', config, ...reports, ...filters],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: {
        ...process.env,
        E2E_FOLDER: folder,
        E2E_FULL: isFull ? '1' : '',
        E2E_UNINSTALL: isFresh && !keeps && filters.length === 0 ? '1' : '',
      },
    },
  );
  return status ?? 1;
}

/** Fails with a word on the way out where something is missing that all tests need. */
async function checkSurroundings(): Promise<void> {
  for (const program of ['kubectl', 'helm', 'docker']) {
    const { error } = spawnSync(program, ['version'], { stdio: 'ignore' });
    if (error !== undefined) throw new Error(`${program} is needed on the PATH: ${error.message}`);
  }
  if ((process.env['KUBECONFIG'] ?? '') === '')
    throw new Error('KUBECONFIG is not set: make a cluster ("kind create cluster") and name its kubeconfig');
  await checkNodes();
}

async function main(): Promise<number> {
  const flags = parse(process.argv.slice(2));
  await checkSurroundings();
  const folder = join(ROOT, '.longhorn', 'e2e', new Date().toISOString().replaceAll(/[:.]/g, '-'));
  mkdirSync(folder, { recursive: true });
  if (flags.builds) {
    await step('Building images', buildImages);
    await step('Building what the pods of the tests run', buildStandIns);
    await step('Handing images to the nodes', () => loadImages());
  }
  const isFresh = !(await isInstalled());
  if (isFresh) await step('Switching on the record of requests', enableAudit);
  const before = isFresh
    ? { objects: await objectInventory(), nodes: await nodeInventory() }
    : { objects: [], nodes: [] };
  writeFileSync(join(folder, 'before.json'), JSON.stringify(before));
  const code = runTests(flags, folder, isFresh);
  if (!flags.keeps && (await isInstalled())) {
    await step('Uninstalling', async () => {
      await confirmDeletion();
      await uninstall();
    });
  }
  if (code !== 0) console.error(`failures: ${folder}`);
  return code;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
