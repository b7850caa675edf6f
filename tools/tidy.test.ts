/**
 * House style as a test: what a reviewer should not have to say twice.
 *
 * Every rule has its exceptions in a list below that may only shrink: an exception that is no longer
 * needed fails the test as much as a new offence does.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 64 << 20,
})
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(root, path)));

const isCode = (path: string): boolean => /\.(ts|tsx|mjs)$/.test(path) && !path.includes('/generated/');
const isTest = (path: string): boolean =>
  /\.test\.tsx?$/.test(path) || /\/(test|sim|bench)\//.test(path) || path.startsWith('packages/e2e/');
const text = (path: string): string => readFileSync(join(root, path), 'utf8');
const lineCount = (path: string): number => text(path).split('\n').length - 1;
const code = tracked.filter(isCode);
const sources = code.filter((path) => path.startsWith('packages/') && path.includes('/src/') && !isTest(path));

/** path -> why it may stay */
type Exceptions = Record<string, string>;

function expectOnly(found: string[], exceptions: Exceptions, wayOut: string): void {
  const offences = found.filter((path) => !(path in exceptions));
  const outdated = Object.keys(exceptions).filter((path) => !found.includes(path));
  expect(offences, wayOut).toEqual([]);
  expect(outdated, 'These exceptions are no longer needed: take them off the list').toEqual([]);
}

/** Files that contain a pattern, as `path:line`. */
function matches(paths: string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    text(path)
      .split('\n')
      .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}`] : [])),
  );
}

const TABLES: Exceptions = {};

describe('tidy', () => {
  it('names files after what they hold', () => {
    const banned = /^(utils?|helpers?|common|misc|types)\.(ts|tsx)$/;
    expectOnly(
      code.filter((path) => banned.test(basename(path))),
      {},
      'Name the file after its one idea (align.ts, u64.ts), never utils, helpers, common, misc or types',
    );
  });

  it('has no file over 800 lines but tables and generated code', () => {
    expectOnly(
      code.filter((path) => lineCount(path) > 800),
      TABLES,
      'Split the file by idea; 100 to 300 lines is the aim',
    );
  });

  it('keeps the median source file between 60 and 300 lines', () => {
    const sizes = sources.map(lineCount).sort((a, b) => a - b);
    const median = sizes[Math.floor(sizes.length / 2)] ?? 0;
    expect(median).toBeGreaterThanOrEqual(60);
    expect(median).toBeLessThanOrEqual(300);
  });

  it('merges no FIXME, and a TODO only with its issue number', () => {
    const files = tracked.filter((path) => /\.(ts|tsx|mjs|md|yaml|sh)$/.test(path) && path !== 'tools/tidy.test.ts');
    expectOnly(matches(files, /\bFIXME\b|\bTODO\b(?! ?\(?#\d+)/), {}, 'Write TODO(#123), or do it now');
  });

  it('does not silence the compiler', () => {
    expectOnly(
      matches(code, /\bas any(?=[;,)\]}]|$)|\bas unknown as\b|@ts-(ignore|nocheck)/).filter(
        (at) => !at.startsWith('tools/tidy.test.ts'),
      ),
      {},
      'Decode at the edge into a typed value instead of casting',
    );
  });

  it('switches no test off and focuses none', () => {
    const tests = code.filter((path) => /\.test\.tsx?$/.test(path) && path !== 'tools/tidy.test.ts');
    expectOnly(matches(tests, /\b(it|test|describe)\.(only|todo|skip)\(/), {}, 'Use skipIf with a printed reason');
  });

  it('takes clock and randomness as parameters', () => {
    const logic = sources.filter(
      (path) =>
        !/\/(io|cli|ui)\//.test(path) &&
        !/(^|\/)(main|clock|random|start)\.tsx?$/.test(path) &&
        !path.startsWith('packages/ui/'),
    );
    expectOnly(matches(logic, /\bMath\.random\(/), {}, 'Take randomness as a parameter, so that a test can repeat it');
  });

  it('names no path of the machine that it was written on', () => {
    const readable = tracked.filter(
      (path) => statSync(join(root, path)).size < 1 << 20 && path !== 'tools/tidy.test.ts',
    );
    expectOnly(
      matches(readable, /\/work\/(main|shared)\b|\/root\//),
      {},
      'Paths are given by arguments or made from the checkout',
    );
  });

  it('has every source file imported by another or named as an entry', () => {
    const named = new Set<string>();
    const started = new Set<string>();
    for (const path of code) {
      for (const match of text(path).matchAll(/(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]/g)) {
        named.add(join(dirname(path), match[1] ?? ''));
      }
      // Programs that are started by their path, wherever they are named.
      for (const match of text(path).matchAll(/['"](?:\.{0,2}\/)?([\w/.-]+\.(?:ts|mjs))['"]/g)) {
        started.add(basename(match[1] ?? ''));
      }
    }
    const entries = new Set<string>();
    const collect = (folder: string, value: unknown): void => {
      if (typeof value === 'string') entries.add(join(folder, value));
      else if (value !== null && typeof value === 'object') Object.values(value).forEach((v) => collect(folder, v));
    };
    for (const path of tracked.filter((p) => /^packages\/[^/]+\/package\.json$/.test(p))) {
      const manifest = JSON.parse(text(path)) as { exports?: unknown; bundles?: unknown };
      collect(dirname(path), manifest.exports);
      collect(dirname(path), manifest.bundles);
    }
    const wildcards = [...entries].filter((entry) => entry.includes('*')).map((entry) => entry.split('*')[0] ?? '');
    const orphans = sources.filter(
      (path) =>
        !named.has(path) &&
        !started.has(basename(path)) &&
        !entries.has(path) &&
        !wildcards.some((prefix) => path.startsWith(prefix)) &&
        !path.endsWith('.d.ts'),
    );
    expectOnly(
      orphans.filter((path) => !/\/(main|index)\.tsx?$/.test(path) && !path.endsWith('.stories.tsx')),
      {},
      'Delete what nothing imports, or name it in the package.json as an entry',
    );
  });

  it('keeps the root folder short', () => {
    const allowed = new Set([
      '.ci',
      '.gitignore',
      '.npmrc',
      '.oxlintrc.json',
      '.prettierignore',
      '.prettierrc.json',
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'charts',
      'deploy',
      'docs',
      'nx.json',
      'package-lock.json',
      'package.json',
      'packages',
      'tools',
      'tsconfig.json',
      'vitest.config.ts',
    ]);
    expect(
      [...new Set(tracked.map((path) => path.split('/')[0] ?? ''))].filter((entry) => !allowed.has(entry)),
    ).toEqual([]);
  });
});
