/** The command line as a process: what goes to which stream, and the exit codes. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function longhorn(...args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { timeout: 20_000 }, (error, stdout, stderr) => {
      const code = error && 'code' in error && typeof error.code === 'number' ? error.code : 0;
      resolve({ code, stdout, stderr });
    });
  });
}

const NOBODY = '127.0.0.1:1';

describe('longhorn', { timeout: 60_000 }, () => {
  it('tells its own versions without an engine', async () => {
    const { code, stdout } = await longhorn('version', '--client-only');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      clientVersion: { cliAPIVersion: 10, cliAPIMinVersion: 8, controllerAPIVersion: 5, dataFormatVersion: 1 },
      serverVersion: null,
    });
  });

  it.each([
    { args: ['controller', 'v1'], error: 'size is required' },
    { args: ['controller', 'v1', '--size', '1g'], error: 'current-size is required' },
    { args: ['controller', 'a/b', '--size', '1g', '--current-size', '1g'], error: 'invalid target name' },
    {
      args: ['controller', 'v1', '--size', '1g', '--current-size', '1g', '--frontend', 'x'],
      error: 'failed to find frontend: x: unsupported frontend type: x',
    },
    {
      args: ['controller', 'v1', '--size', '1g', '--current-size', '1g', '--membership', '{"epoch":-1}'],
      error: 'membership.members: must be an array of replica names',
    },
    {
      args: ['controller', 'v1', '--size', '1g', '--current-size', '1g', '--nbd-tls-cert', 'tls.crt'],
      error: '--nbd-tls-cert and --nbd-tls-key belong together; --nbd-tls-ca needs both',
    },
    {
      args: ['controller', 'v1', '--size', '1g', '--current-size', '1g', '--nbd-tls-ca', 'ca.crt'],
      error: '--nbd-tls-cert and --nbd-tls-key belong together; --nbd-tls-ca needs both',
    },
    {
      args: [
        'controller',
        'v1',
        '--size',
        '1g',
        '--current-size',
        '1g',
        '--nbd-tls-cert',
        '/-/a',
        '--nbd-tls-key',
        '/-/b',
      ],
      error: 'NBD TLS certificate /-/a cannot be read: ENOENT: no such file or directory',
    },
    { args: ['replica'], error: 'directory name is required' },
    { args: ['add-replica', '--size', '1g'], error: 'replica address is required' },
    { args: ['snapshot', 'revert'], error: 'snapshot name is required' },
    {
      args: ['unmap-mark-snap', '--enable', '--disable'],
      error: 'cannot enable and disable this option simultaneously',
    },
    { args: ['unmap-mark-snap'], error: 'this option is not specified' },
    { args: ['frontend', 'start'], error: 'missing required parameter frontendName' },
    { args: ['update-replica', '--mode', 'RO', 'tcp://a:1'], error: 'unsupported replica mode: RO' },
    { args: ['snapshot', 'create', '--label', 'x'], error: 'invalid label not in <key>=<value> format x' },
  ])('$args fails with one fatal line', async ({ args, error }) => {
    const { code, stdout, stderr } = await longhorn('--url', NOBODY, ...args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('level=fatal');
    expect(stderr.replaceAll('\\"', '"')).toContain(error);
  });

  it('names an unknown flag on standard output', async () => {
    const { code, stdout } = await longhorn('info', '--nothing');
    expect(code).toBe(1);
    expect(stdout).toContain('Incorrect Usage: flag provided but not defined: -nothing');
  });

  it('names an unknown command', async () => {
    const { code, stdout, stderr } = await longhorn('nothing');
    expect(code).toBe(1);
    expect(stdout).toBe('unrecognized command: nothing\n');
    expect(stderr).toContain('level=error');
  });

  it('exits with 1 for replicas that cannot be reached', async () => {
    const flags = ['--size', '1g', '--current-size', '1g', '--listen', '127.0.0.1:0', '--replica', `tcp://${NOBODY}`];
    const { code, stderr } = await longhorn('controller', 'v1', ...flags);
    expect(code).toBe(1);
    expect(stderr).toContain(`no available backend due to service unavailable from the addresses [tcp://${NOBODY}]`);
  });
});
