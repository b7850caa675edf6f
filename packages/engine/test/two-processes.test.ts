/** Two replica processes on one folder. */
import { createClient } from '@longhorn/shared-types/grpc/client';
import { ReplicaService } from '@longhorn/shared-types/generated/ptypes';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePorts } from '../testing/free-ports.ts';
import { EngineProcesses } from './engine-processes.ts';

type Client = ReturnType<typeof connect>;

let world: EngineProcesses;
let clients: Client[] = [];

function connect(index: number) {
  return createClient(ReplicaService, world.address(index), { timeoutMs: 20_000 });
}

/** Replica `index` runs on the folder of replica 0. */
async function started(index: number): Promise<Client> {
  world.startReplica(index, 0);
  const client = connect(index);
  clients.push(client);
  for (let attempt = 0; ; attempt++) {
    try {
      await client.ReplicaGet({});
      return client;
    } catch (error) {
      if (attempt > 400) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
  }
}

const stateOf = async (client: Client): Promise<string | undefined> => (await client.ReplicaGet({})).replica?.state;

beforeEach(async () => {
  world = new EngineProcesses(await freePorts(60));
});

afterEach(async () => {
  for (const client of clients) client.close();
  clients = [];
  await world.cleanUp();
});

describe('two replica processes on one folder', { timeout: 120_000 }, () => {
  it('do not both have it open, and the second names the first and the way out', async () => {
    const [first, second] = [await started(0), await started(1)];
    await first.ReplicaOpenEpoch({ epoch: 5, engineName: 'e' });
    await expect(second.ReplicaOpen({})).rejects.toThrow(
      new RegExp(`r0 is in use by replica r0, process ${world.replicaPid(0)}: stop that process`),
    );
    await expect(second.ReplicaOpenEpoch({ epoch: 4, engineName: 'e' })).rejects.toThrow('fenced by epoch 5');
    await expect(second.ReplicaOpenEpoch({ epoch: 5, engineName: 'f' })).rejects.toThrow('already taken by engine e');
    expect(await stateOf(first)).toBe('open');
    expect(await stateOf(second)).not.toBe('open');
    await first.ReplicaClose({});
    await second.ReplicaOpen({});
    await expect(
      first.ReplicaOpenEpoch({ epoch: 5, engineName: 'e' }),
      'a holder without an engine gives way',
    ).resolves.toBeDefined();
    expect(await stateOf(second)).toBe('closed');
  });

  it('hand it over to the engine of a later epoch, and to the same engine again', async () => {
    const [first, second] = [await started(0), await started(1)];
    await first.ReplicaOpenEpoch({ epoch: 5, engineName: 'e' });
    await second.ReplicaOpenEpoch({ epoch: 6, engineName: 'e' });
    expect([await stateOf(first), await stateOf(second)]).toEqual(['closed', 'open']);
    await expect(first.ReplicaOpenEpoch({ epoch: 5, engineName: 'e' })).rejects.toThrow('fenced by epoch 6');
    await first.ReplicaOpenEpoch({ epoch: 6, engineName: 'e' });
    expect([await stateOf(first), await stateOf(second)]).toEqual(['open', 'closed']);
  });

  it('share it without epochs, as in a live upgrade by upstream', async () => {
    const [first, second] = [await started(0), await started(1)];
    await first.ReplicaOpen({});
    await second.ReplicaOpen({});
    expect([await stateOf(first), await stateOf(second)]).toEqual(['open', 'dirty']);
  });

  it('wait for one that hangs only until it is killed', async () => {
    const [first, second] = [await started(0), await started(1)];
    await first.ReplicaOpenEpoch({ epoch: 5, engineName: 'e' });
    world.signalReplica(0, 'SIGSTOP');
    await expect(second.ReplicaOpenEpoch({ epoch: 6, engineName: 'e' })).rejects.toThrow('in use by replica r0');
    expect(await stateOf(second)).not.toBe('open');
    await world.killReplica(0);
    await second.ReplicaOpenEpoch({ epoch: 6, engineName: 'e' });
    expect(await stateOf(second)).toBe('dirty');
  });
});
