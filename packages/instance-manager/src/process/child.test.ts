import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { findSetpriv, lastWord, startChild, type ChildEnd } from './child.ts';

const setpriv = findSetpriv(process.env['PATH'] ?? '');

function endOf(script: string, outputEnded = (): void => undefined): Promise<ChildEnd> {
  return new Promise((ended) => {
    startChild(setpriv, '/bin/sh', ['-c', script], process.env, { output: () => undefined, ended, outputEnded });
  });
}

it.each([
  ['exit 0', ''],
  ['exit 1', 'exit status 1'],
  ['kill -9 $$', 'signal: killed'],
  [`echo 'level=fatal msg=x error="no \\"such\\" thing"' >&2; exit 1`, 'exit status 1: no "such" thing'],
  [`echo 'level=fatal msg="Error running it" error=refused' >&2; exit 2`, 'exit status 2: refused'],
  // Upstream's manager looks for this text as it is.
  [`echo 'level=fatal msg=x error=nothing' >&2; exit 61`, 'exit status 61'],
  [`echo 'level=info msg=x error=earlier' >&2; exit 1`, 'exit status 1'],
  [`echo 'level=fatal msg=x error=ignored' >&2; exit 0`, ''],
])('%s ends as %s', async (script, text) => {
  expect((await endOf(script)).text).toBe(text);
});

it('does not wait for who inherited its output', async () => {
  let closed: () => void = () => undefined;
  const outputEnded = vi.fn<() => void>(() => closed());
  // Its heir goes on until it is told to end.
  const folder = mkdtempSync(join(tmpdir(), 'child-'));
  const script = `mkfifo ${folder}/go; cat ${folder}/go & echo 'level=fatal error=now' >&2; exit 1`;
  expect((await endOf(script, outputEnded)).text).toBe('exit status 1: now');
  expect(outputEnded).not.toHaveBeenCalled();
  const end = new Promise<void>((resolve) => (closed = resolve));
  writeFileSync(join(folder, 'go'), '');
  await end;
  rmSync(folder, { recursive: true });
});

it('the last word is that of the last line that has one', () => {
  const lines = [
    'level=fatal msg="a b" error=first',
    'level=warning error=other',
    'level=fatal error="last one" n=3',
    '',
  ];
  expect(lastWord(lines.join('\n'))).toBe('last one');
  expect(lastWord('cut off" error=x level=fatal\n')).toBe('x');
  expect(lastWord('level=fatal error="cut')).toBe('"cut');
  expect(lastWord('')).toBe('');
});
