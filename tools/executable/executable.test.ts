import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildExecutable } from './build.ts';
import { withSeaBlob } from './elf-note.ts';

const folder = mkdtempSync(join(tmpdir(), 'executable-test-'));
const longhorn = join(folder, 'host', 'longhorn');
// What the program may rely on: nothing of this checkout.
const env = { TMPDIR: join(folder, 'tmp') };

beforeAll(async () => {
  mkdirSync(join(folder, 'host'));
  mkdirSync(env.TMPDIR);
  await buildExecutable(join(folder, 'built'), 'abc123');
  copyFileSync(join(folder, 'built'), longhorn);
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the executable', () => {
  it('runs from a folder with nothing beside it and tells the commit that it was built from', () => {
    const output = execFileSync(longhorn, ['version', '--client-only'], { cwd: '/', env, encoding: 'utf8' });
    expect(JSON.parse(output)).toMatchObject({ clientVersion: { gitCommit: 'abc123', cliAPIVersion: 10 } });
  });

  it('passes arguments and exit codes on', () => {
    expect(() => execFileSync(longhorn, ['no-such-command'], { env, stdio: 'ignore' })).toThrow('Command failed');
  });

  it('brings its native module along and leaves no file of it', async () => {
    const data = join(folder, 'replica');
    mkdirSync(data);
    const args = ['--volume-name', 'v', 'replica', data, '--size', '2097152', '--listen', '127.0.0.1:0'];
    const child = spawn(longhorn, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    try {
      const lines: string[] = [];
      for await (const line of createInterface({ input: child.stderr })) {
        lines.push(line);
        if (line.includes('listens on')) break;
      }
      expect(lines.join('\n')).toContain('listens on');
      expect(readdirSync(env.TMPDIR)).toEqual([]);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }, 30_000);
});

describe('putting a program into an executable', () => {
  it('refuses what is no ELF executable', () => {
    expect(() => withSeaBlob(Buffer.alloc(128), Buffer.from('x'))).toThrow('on Linux only');
  });
});
