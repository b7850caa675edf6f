/** The program itself: its end, orderly and not, takes its processes along. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ProcessManagerService, type ProcessManagerServiceMethods } from '@longhorn/shared-types/generated/nameless';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';

const PATIENT = { timeout: 15_000, interval: 50 };
const POD_IP = '127.1.203.1';
const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

let folder: string;
let daemon: ChildProcess;
let client: ServiceClient<ProcessManagerServiceMethods>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'instance-manager-'));
  const binaries = join(folder, 'binaries', 'image');
  mkdirSync(binaries, { recursive: true });
  const binary = join(binaries, 'longhorn');
  writeFileSync(binary, `#!/bin/sh\nexec "${process.execPath}" "${source('fake-longhorn.ts')}" "$@"\n`);
  chmodSync(binary, 0o755);
  daemon = spawn(process.execPath, [source('../src/main.ts'), 'daemon', '--listen', ':8500'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      POD_IP,
      LONGHORN_HOST_ROOT: '',
      LONGHORN_DATA_ROOT: folder,
      LONGHORN_ENGINE_BINARIES_DIR: join(folder, 'binaries'),
      LONGHORN_RUN_DIR: join(folder, 'run'),
      LONGHORN_LOGS_DIR: join(folder, 'logs'),
    },
  });
  client = createClient(ProcessManagerService, `${POD_IP}:8500`);
  await vi.waitFor(() => client.VersionGet({}), PATIENT);
  const create = (name: string, args: string[]): Promise<unknown> =>
    client.ProcessCreate({ spec: { name, binary, args, port_count: 1, port_args: ['--listen,:'] } });
  await create('v-e-0', ['controller', 'v']);
  await create('v-r-1', ['replica', '/x']);
  const allRun = async (): Promise<void> => {
    const { processes } = await client.ProcessList({});
    const states = Object.values(processes).map(({ status }) => status?.state);
    if (states.join() !== 'running,running') throw new Error(`processes are ${states.join()}`);
  };
  await vi.waitFor(allRun, PATIENT);
});

afterEach(() => {
  client.close();
  daemon.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Ids of the daemon's children. */
function children(): number[] {
  const text = readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, 'utf8').trim();
  return text.split(' ').map(Number);
}

/** Alive and not a zombie that waits for the machine's init. */
function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

it('kill -9 takes all processes along', async () => {
  const pids = children();
  expect(pids).toHaveLength(2);
  daemon.kill('SIGKILL');
  await expect.poll(() => pids.filter(isAlive), PATIENT).toEqual([]);
});

it('SIGTERM ends all processes in order and exits with 0', async () => {
  const pids = children();
  const exit = new Promise((resolve) => daemon.once('exit', (code) => resolve(code)));
  daemon.kill('SIGTERM');
  expect(await exit).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
  expect(existsSync(join(folder, 'run', 'devices', 'v.json'))).toBe(false);
});

it('a second daemon on the same address is refused', async () => {
  const second = spawn(process.execPath, [source('../src/main.ts'), 'daemon', '--listen', `${POD_IP}:8500`], {
    env: { ...process.env, LONGHORN_LOGS_DIR: join(folder, 'logs'), LONGHORN_RUN_DIR: join(folder, 'run-2') },
  });
  let text = '';
  second.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  expect(await new Promise((resolve) => second.once('exit', (code) => resolve(code)))).toBe(1);
  expect(text).toMatch(/level=fatal msg="Error running daemon command" error=.*cannot listen on 127\.1\.203\.1:8503/);
});
