/**
 * `node tools/executable/build.ts OUT [COMMIT]`: the engine's `longhorn` as one file that needs nothing beside it but the C
 * library: Node with our program and koffi's native module inside. It is copied to hosts and run from there by whichever
 * instance-manager is in place, so it cannot rely on what an image has.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { withSeaBlob } from './elf-note.ts';

// As the package's main.ts, without the top-level await that a program of this form cannot have.
const MAIN = `
  import { runCli } from './src/cli/program.ts';
  runCli(process.argv.slice(2)).then((code) => { process.exitCode = code; });
`;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const engine = join(root, 'packages/engine');

/** The native module of this platform for the C library of Debian. */
function nativeModule(): string {
  const platform = `${process.platform}-${process.arch}`;
  const index = createRequire(createRequire(import.meta.url).resolve('koffi')).resolve(`@koromix/koffi-${platform}`);
  return join(dirname(index), platform.replace('-', '_'), 'koffi.node');
}

/** Makes the executable at `out`; it appears there whole. `commit` is what `longhorn version` tells. */
export async function buildExecutable(out: string, commit: string): Promise<void> {
  const { version } = JSON.parse(readFileSync(join(engine, 'package.json'), 'utf8')) as { version: string };
  const work = mkdtempSync(join(tmpdir(), 'longhorn-executable-'));
  try {
    const bundle = join(work, 'longhorn.cjs');
    await build({
      absWorkingDir: engine,
      stdin: {
        contents: MAIN,
        resolveDir: engine,
        loader: 'ts',
      },
      outfile: bundle,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      minifySyntax: true,
      minifyWhitespace: true,
      alias: { koffi: join(root, 'tools/executable/embedded-koffi.ts') },
      define: { __VERSION__: JSON.stringify(version), __GIT_COMMIT__: JSON.stringify(commit) },
      logLevel: 'warning',
    });
    const blob = join(work, 'longhorn.blob');
    const config = join(work, 'sea.json');
    writeFileSync(
      config,
      JSON.stringify({
        main: bundle,
        output: blob,
        disableExperimentalSEAWarning: true,
        useCodeCache: true,
        assets: { 'koffi.node': nativeModule() },
      }),
    );
    const node = join(root, 'node_modules/node/bin/node');
    execFileSync(node, ['--experimental-sea-config', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    const whole = join(work, 'longhorn');
    writeFileSync(whole, withSeaBlob(readFileSync(node), readFileSync(blob)));
    chmodSync(whole, 0o755);
    copyFileSync(whole, `${out}.new`);
    renameSync(`${out}.new`, out);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const out = process.argv[2];
  if (out === undefined) throw new Error('usage: node tools/executable/build.ts OUT [COMMIT]');
  await buildExecutable(resolve(out), process.argv[3] ?? '');
}
