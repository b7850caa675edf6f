/**
 * Bundles one package with esbuild: `node tools/build.ts PACKAGE`, run from anywhere.
 *
 * Each entry of the package's `bundles` field (package.json) becomes `dist/NAME.mjs`; native modules
 * (koffi) stay outside and are resolved from node_modules at run time.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

interface PackageJson {
  version: string;
  /** bundle name -> entry file, relative to the package */
  bundles?: Record<string, string>;
  /** executables made beside the bundles: file name -> bundle name */
  executables?: Record<string, string>;
}

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const name = process.argv[2];
if (!name) throw new Error('usage: node tools/build.ts PACKAGE');
const folder = join(root, 'packages', name);
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
const dist = join(folder, 'dist');
rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });

await build({
  absWorkingDir: folder,
  entryPoints: Object.entries(manifest.bundles ?? {}).map(([out, entry]) => ({ out, in: join(folder, entry) })),
  outdir: dist,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  sourcemap: 'linked',
  external: ['koffi'],
  define: { __VERSION__: JSON.stringify(manifest.version) },
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});

for (const [file, bundle] of Object.entries(manifest.executables ?? {})) {
  // exec keeps the process id, so that signals and parent-death handling reach the program itself. Nothing in dist names
  // this checkout: Nx keeps it in a cache that all checkouts of the repository share.
  const node = '${LONGHORN_NODE:-$here/../../../node_modules/node/bin/node}';
  const script = `#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\nexec "${node}" "$here/${bundle}.mjs" "$@"\n`;
  writeFileSync(join(dist, file), script);
  chmodSync(join(dist, file), 0o755);
}
