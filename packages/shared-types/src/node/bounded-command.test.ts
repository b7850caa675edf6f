import { describe, expect, it } from 'vitest';
import { runBounded } from './bounded-command.ts';

const sh = (script: string, timeoutMs = 10_000): ReturnType<typeof runBounded> =>
  runBounded('sh', ['-c', script], { timeoutMs });

describe('a bounded command', () => {
  it('tells its code and both outputs', async () => {
    expect(await sh('echo out; echo err >&2; exit 3')).toEqual({ code: 3, signal: null, output: 'out\nerr' });
  });

  it('tells the signal that ended it', async () => {
    expect(await sh('kill -TERM $$')).toEqual({ code: null, signal: 'SIGTERM', output: '' });
  });

  it('keeps the end of a long output', async () => {
    const { output } = await sh('seq 1 20000');
    expect(output.length).toBeLessThanOrEqual(16 * 1024);
    expect(output).toMatch(/\n20000$/);
  });

  it('answers although something that it started holds its pipes', async () => {
    const { output } = await sh('sleep 30 & echo $!');
    process.kill(Number(output));
    expect(output).toMatch(/^\d+$/);
  });

  it('is killed at the limit, and says so', async () => {
    await expect(sh('echo begun; exec sleep 30', 200)).rejects.toThrow(/sh -c .*: not done after 0\.2 s: begun/);
  });

  it('that is not there is an error with its name', async () => {
    await expect(runBounded('no-such-program', [], { timeoutMs: 1000 })).rejects.toThrow(
      'no-such-program cannot be run: spawn no-such-program ENOENT',
    );
  });
});
