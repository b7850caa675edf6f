/** RPCs that no command of `longhorn` makes, or not with every outcome, on a real engine and real replicas. */
import { existsSync, readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ControllerService,
  ReplicaMode,
  ReplicaService,
  SyncAgentService,
  type ControllerServiceMethods,
  type ReplicaServiceMethods,
  type SyncAgentServiceMethods,
} from '@longhorn/shared-types/generated/ptypes';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import { Code } from '@longhorn/shared-types/grpc/rpc-error';
import { CliWorld, type StartedEngine, type StartedReplica } from './cli-world.ts';

let world: CliWorld;
let engine: StartedEngine;
let first: StartedReplica;
let second: StartedReplica;
/** of no engine */
let spare: StartedReplica;
let control: ServiceClient<ControllerServiceMethods>;
let replica: ServiceClient<ReplicaServiceMethods>;
let agent: ServiceClient<SyncAgentServiceMethods>;

beforeAll(async () => {
  world = await CliWorld.open();
  [first, second, spare] = await Promise.all([world.named('r0'), world.named('r1'), world.named('r2')]);
  engine = await world.engine({ replicas: [first.address, second.address], flags: ['--frontend', 'nbd'] });
  control = createClient(ControllerService, engine.url);
  replica = createClient(ReplicaService, spare.address);
  agent = createClient(SyncAgentService, `127.0.0.1:${spare.port + 2}`);
}, 60_000);

afterAll(async () => {
  for (const client of [control, replica, agent]) client.close();
  await world.close();
});

describe('the engine', () => {
  it('ReplicaGet: a replica by its address, or nothing', async () => {
    expect(await control.ReplicaGet({ address: first.address })).toMatchObject({
      address: { address: first.address },
      mode: ReplicaMode.RW,
    });
    expect((await control.ReplicaGet({ address: 'tcp://127.0.0.1:1' })).address).toBeNull();
  });

  it('VolumeFrontendShutdown and VolumeFrontendStart: the volume under the same endpoint again', async () => {
    const before = (await control.VolumeGet({})).endpoint;
    expect(before).toBe(`nbd://127.0.0.1:${engine.nbdPort}/v1`);
    expect(await control.VolumeFrontendShutdown({})).toMatchObject({ frontendState: 'down', endpoint: '' });
    await expect(world.nbd(engine)).rejects.toThrow(/ECONNREFUSED/);
    expect(await control.VolumeFrontendStart({ frontend: 'nbd' })).toMatchObject({ endpoint: before });
    const client = await world.nbd(engine);
    await client.write(0, Buffer.alloc(4096, 1));
    client.close();
  });

  it.each(['rest', 'none'])('VolumeFrontendStart: refuses %s', async (frontend) => {
    await expect(control.VolumeFrontendStart({ frontend })).rejects.toThrow(`unsupported frontend type: ${frontend}`);
    expect((await control.VolumeGet({})).endpoint).not.toBe('');
  });

  it('ReplicaUpdate: drops a replica by ERR, sets none to WO, and knows no others', async () => {
    const update = (address: string, mode: ReplicaMode): Promise<unknown> =>
      control.ReplicaUpdate({ address: { address }, mode });
    await expect(update(second.address, ReplicaMode.WO)).rejects.toThrow('cannot set to mode WO');
    expect(await update('tcp://127.0.0.1:1', ReplicaMode.ERR)).toMatchObject({ address: null });
    expect(await update(first.address, ReplicaMode.RW)).toMatchObject({ mode: ReplicaMode.RW });
    expect(await update(second.address, ReplicaMode.ERR)).toMatchObject({ mode: ReplicaMode.ERR });
    const { replicas } = await control.ReplicaList({});
    expect(replicas.map(({ address, mode }) => [address?.address, mode])).toEqual([
      [first.address, ReplicaMode.RW],
      [second.address, ReplicaMode.ERR],
    ]);
    await control.ReplicaDelete({ address: second.address });
  });

  it.each(['ReplicaPrepareRebuild', 'ReplicaVerifyRebuild'] as const)('%s: refuses another instance', async (call) => {
    const { address } = first;
    await expect(control[call]({ address, instanceName: 'r9' })).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      details: 'incorrect instance name r9; check replica address',
    });
  });

  it('JournalList: succeeds; VolumeIO: Unimplemented, as with Longhorn', async () => {
    expect(await control.JournalList({ limit: 10 })).toEqual({});
    await expect(control.VolumeIO({})).rejects.toThrow('code = Unimplemented');
  });
});

describe('a replica', () => {
  it('ReplicaDelete: forgets its volume if it is open, and its folder stays', async () => {
    await replica.ReplicaDelete({});
    expect((await replica.ReplicaGet({})).replica).toMatchObject({ state: 'closed' });
    await replica.ReplicaOpen({});
    await replica.ReplicaDelete({});
    expect((await replica.ReplicaGet({})).replica).toMatchObject({ state: 'initial' });
    expect(existsSync(spare.folder)).toBe(true);
    expect(readdirSync(spare.folder)).not.toContain('volume.meta');
  });
});

describe('a sync agent', () => {
  it('RestoreStatus is empty, also after a Reset', async () => {
    const before = await agent.RestoreStatus({});
    expect(await agent.Reset({})).toEqual({});
    expect(await agent.RestoreStatus({})).toEqual(before);
    expect(before).toMatchObject({ is_restoring: false, backup_url: '', error: '' });
  });

  it.each<[string, () => Promise<unknown>]>([
    ['BackupCreate', () => agent.BackupCreate({})],
    ['BackupRemove', () => agent.BackupRemove({})],
    ['BackupRestore', () => agent.BackupRestore({})],
    ['BackupStatus', () => agent.BackupStatus({})],
  ])('refuses %s, which comes with backups', async (rpc, call) => {
    await expect(call()).rejects.toThrow(`code = Unimplemented desc = method ${rpc} not implemented`);
  });
});
