/** What becomes of an engine's block device when the engine is gone. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestNode, untilProcess, type TestNode } from './test-node.ts';

const PATIENT = { timeout: 10_000 };
let node: TestNode;
beforeEach(async () => {
  node = await startTestNode({ podIp: '127.1.202.1' });
});
afterEach(() => node.stop());

async function startEngine(name: string, extra: string[] = []): Promise<void> {
  const args = ['--engine-instance-name', name, 'controller', 'v', ...extra];
  const spec = { name, binary: node.binary('image-1'), args, port_count: 1, port_args: ['--listen,:'] };
  await node.processes.ProcessCreate({ spec });
}

async function runEngine(name: string, extra: string[] = []): Promise<void> {
  await startEngine(name, extra);
  await untilProcess(node, name, (process) => process.status?.state === 'running');
}

async function killEngine(name: string): Promise<void> {
  process.kill(node.daemon.manager.get(name).pid, 'SIGKILL');
  await node.daemon.manager.get(name).ended();
}

async function deleteEngine(name: string, keepDevice: boolean): Promise<void> {
  await node.processes.ProcessDelete({ name, keepDevice });
  await expect.poll(() => node.daemon.manager.list().length, PATIENT).toBe(0);
}

describe('the device of an engine', () => {
  it('that ends in order is removed by itself', async () => {
    await runEngine('v-e-0');
    await deleteEngine('v-e-0', false);
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([false, []]);
  });

  it('that is dead is removed when the engine is deleted', async () => {
    await runEngine('v-e-0');
    await killEngine('v-e-0');
    expect(node.hasDevice('v')).toBe(true);
    await deleteEngine('v-e-0', false);
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([false, ['v']]);
  });

  it('stays for a successor when that is asked for, also from a running engine', async () => {
    await runEngine('v-e-0');
    await deleteEngine('v-e-0', true);
    expect(node.hasDevice('v')).toBe(true);
    await runEngine('v-e-1');
    await killEngine('v-e-1');
    await deleteEngine('v-e-1', true);
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([true, []]);
  });

  it('is removed when the hold time is over and no successor came', async () => {
    await runEngine('v-e-0', ['--io-hold-timeout', '1']);
    await killEngine('v-e-0');
    await expect.poll(() => node.hasDevice('v'), PATIENT).toBe(false);
    expect(node.cleanups()).toEqual(['v']);
  });

  it('is not removed behind the back of a successor', async () => {
    await runEngine('v-e-0', ['--io-hold-timeout', '1']);
    await killEngine('v-e-0');
    await deleteEngine('v-e-0', true);
    await startEngine('v-e-1', ['--start-delay-ms', '1500', '--io-hold-timeout', '1']);
    await untilProcess(node, 'v-e-1', (process) => process.status?.state === 'running');
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([true, []]);
  });

  it('is removed when the successor dies before it runs and the hold time is over', async () => {
    await runEngine('v-e-0', ['--io-hold-timeout', '1']);
    await killEngine('v-e-0');
    await deleteEngine('v-e-0', true);
    await startEngine('v-e-1', ['--start-delay-ms', '1500', '--exit-code', '1', '--io-hold-timeout', '60']);
    await expect.poll(() => node.hasDevice('v'), PATIENT).toBe(false);
    expect(node.cleanups()).toEqual(['v']);
  });

  it('is removed when a successor is deleted before it runs', async () => {
    await runEngine('v-e-0');
    await killEngine('v-e-0');
    await deleteEngine('v-e-0', true);
    await startEngine('v-e-1', ['--start-delay-ms', '60000']);
    await deleteEngine('v-e-1', false);
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([false, ['v']]);
  });

  it('is removed after a successor that waited for replicas and ended in order without taking it over', async () => {
    await runEngine('v-e-0');
    await killEngine('v-e-0');
    await deleteEngine('v-e-0', true);
    await runEngine('v-e-1', ['--waits']);
    await deleteEngine('v-e-1', false);
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([false, ['v']]);
  });

  it.each(['nbd/v@3.sock', 'iscsi/v.port'])(
    'that is %s is removed after a successor that did not take it over',
    async (file) => {
      await runEngine('v-e-0', ['--waits']);
      const record = join(node.folder, 'run', file);
      mkdirSync(join(record, '..'));
      writeFileSync(record, '');
      await deleteEngine('v-e-0', false);
      expect(node.cleanups()).toEqual(['v']);
    },
  );

  it('is held for ever with a hold time of 0', async () => {
    await runEngine('v-e-0', ['--io-hold-timeout=0']);
    await killEngine('v-e-0');
    await runEngine('w-e-0');
    expect([node.hasDevice('v'), node.cleanups()]).toEqual([true, []]);
  });
});

describe('at start', () => {
  it('devices that the run folder records are removed before the first engine', async () => {
    await node.stop();
    const before = (runFolder: string): void => {
      mkdirSync(join(runFolder, 'devices'));
      writeFileSync(join(runFolder, 'devices', 'old.json'), '{}');
    };
    node = await startTestNode({ podIp: '127.1.202.1', before });
    expect([node.hasDevice('old'), node.cleanups()]).toEqual([false, ['all']]);
  });

  it('nothing is run where nothing is recorded', () => {
    expect(node.cleanups()).toEqual([]);
  });
});
