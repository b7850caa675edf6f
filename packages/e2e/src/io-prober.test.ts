import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IoProber, longestProbe, PROBED_BYTES } from './io-prober.ts';

let folder: string;
const journal = (): string => join(folder, 'journal');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'prober-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

describe('the longest I/O', () => {
  it('is that of those which ended after a time, also if it began before', () => {
    writeFileSync(journal(), '100 900 read\n1000 1100 write\n1050 2000 read\n2100 2110 write\n');
    expect(longestProbe(journal(), 1100)).toEqual({ ms: 950, what: 'read', count: 2, endMs: 2000 });
    expect(longestProbe(journal(), 5000)).toEqual({ ms: 0, what: 'nothing', count: 0, endMs: 0 });
  });
});

describe('a prober', () => {
  it('probes a file past the cache, and tells of a limit that is passed', async () => {
    const file = join(folder, 'device');
    writeFileSync(file, '');
    truncateSync(file, 2 * PROBED_BYTES);
    const begunMs = Date.now();
    const prober = new IoProber(file, PROBED_BYTES, journal());
    try {
      expect(await prober.longestMs(begunMs)).toBeGreaterThan(0);
      writeFileSync(journal(), `${begunMs} ${begunMs + 70_000} write\n`, { flag: 'a' });
      expect(await prober.longestMs(begunMs)).toBe(70_000);
      await prober.stop();
    } finally {
      prober.kill();
    }
  });

  it('that meets an error says so', async () => {
    const prober = new IoProber(join(folder, 'missing'), 0, journal());
    await expect(prober.longestMs(Date.now())).rejects.toThrow('ENOENT');
  });
});
