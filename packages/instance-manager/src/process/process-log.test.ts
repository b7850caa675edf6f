import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logLines, ProcessLog, pruneLogs } from './process-log.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'process-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function lines(name: string): Promise<string[]> {
  const all: string[] = [];
  for await (const line of logLines(folder, name)) all.push(line);
  return all;
}

describe('a process log', () => {
  it('goes on where an earlier process of the name ended', async () => {
    for (const text of ['one\ntwo\n', 'three\nfour']) {
      const log = new ProcessLog(folder, 'p');
      log.append(Buffer.from(text));
      log.close();
      log.close();
      log.append(Buffer.from('late'));
    }
    expect(await lines('p')).toEqual(['one', 'two', 'three', 'four']);
    expect(await lines('none')).toEqual([]);
  });

  it('keeps the newest lines in at most three files', async () => {
    const log = new ProcessLog(folder, 'p', 100);
    for (let index = 0; index < 50; index++) log.append(Buffer.from(`line ${String(index).padStart(4, '0')}\n`));
    log.close();
    expect(readdirSync(folder).toSorted()).toEqual(['p.log', 'p.log.1', 'p.log.2']);
    for (const file of readdirSync(folder)) expect(statSync(join(folder, file)).size).toBeLessThanOrEqual(100);
    const kept = await lines('p');
    expect(kept.at(-1)).toBe('line 0049');
    expect(kept.length).toBeGreaterThan(20);
  });

  it('gives a line that is too long in pieces', async () => {
    writeFileSync(join(folder, 'p.log'), `a\n${'x'.repeat(150_000)}\nb`);
    expect((await lines('p')).map((line) => line.length)).toEqual([1, 65_536, 65_536, 18_928, 1]);
  });

  it('of a process that is gone is deleted when there are too many, the oldest first', () => {
    for (let index = 0; index < 6; index++) {
      const path = join(folder, `p${index}.log`);
      writeFileSync(path, '');
      utimesSync(path, index, index);
    }
    writeFileSync(join(folder, 'other'), '');
    pruneLogs(folder, new Set(['p0']), 4);
    expect(readdirSync(folder).toSorted()).toEqual(['other', 'p0.log', 'p3.log', 'p4.log', 'p5.log']);
  });
});
