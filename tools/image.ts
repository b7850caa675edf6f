/**
 * `node tools/image.ts PACKAGE`: the image of one package from its bundle, in the local docker (`nx run PACKAGE:image`).
 *
 * LONGHORN_IMAGE names it (tools/image-names.ts), LONGHORN_IMAGE_BASE replaces the base of its Dockerfile. The build's
 * context is a folder of its own that holds the bundle and nothing else: no sources, no source maps, no dependencies.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildExecutable } from './executable/build.ts';
import { IMAGE_PACKAGES, imageNames, isImagePackage } from './image-names.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const name = process.argv[2] ?? '';
if (!isImagePackage(name)) throw new Error(`usage: node tools/image.ts ${IMAGE_PACKAGES.join('|')}`);
const folder = join(root, 'packages', name);
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
const commit = git('rev-parse', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '-dirty');
const names = imageNames(name, process.env['LONGHORN_IMAGE'] ?? '', version);
const base = process.env['LONGHORN_IMAGE_BASE'] ?? '';

const context = mkdtempSync(join(tmpdir(), `longhorn-${name}-image-`));
try {
  cpSync(join(folder, 'Dockerfile'), join(context, 'Dockerfile'));
  if (name === 'engine') {
    await buildExecutable(join(context, 'longhorn'), commit);
  } else {
    const dist = join(folder, 'dist');
    if (!existsSync(dist)) throw new Error(`${dist} is not there; run "nx run ${name}:build" first`);
    cpSync(dist, join(context, 'dist'), { recursive: true, filter: (from) => !from.endsWith('.map') });
  }
  const words = [
    'build',
    '--quiet',
    '--network=host',
    ...names.flatMap((tag) => ['--tag', tag]),
    ...(base === '' ? [] : ['--build-arg', `BASE=${base}`]),
    '--build-arg',
    `VERSION=v${version}`,
    '--build-arg',
    `GIT_COMMIT=${commit}`,
    context,
  ];
  execFileSync('docker', words, { stdio: ['ignore', 'ignore', 'inherit'] });
  const size = execFileSync('docker', ['image', 'inspect', '--format', '{{.Size}}', names[0] ?? ''], {
    encoding: 'utf8',
  });
  console.log(`${names.join(', ')}: ${Math.round(Number(size) / 1e6)} MB`);
} finally {
  rmSync(context, { recursive: true, force: true });
}
