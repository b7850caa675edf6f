/** The flows against peers that record what is asked of them, over real gRPC. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import { Code, RpcError, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { createServer, type RpcServer, type ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import {
  ControllerService,
  ReplicaMode,
  ReplicaService,
  SyncAgentService,
  type ControllerServiceMethods,
  type ReplicaServiceMethods,
  type SyncAgentServiceMethods,
} from '@longhorn/shared-types/generated/ptypes';
import { cloneSnapshot, cloneStatus, type CloneRequest } from './clone.ts';
import { hashSnapshot, hashStatus } from './hash.ts';
import { addReplica, addRestoreReplica, rebuildingStatus, type ReplicaAddition } from './rebuild.ts';
import { listSnapshots, purgeSnapshots, purgeStatus, removeSnapshots } from './snapshot.ts';
import { listReplicas, syncAgentAddress, type EngineFlow } from './flow.ts';

const { RW, WO, ERR } = ReplicaMode;
const MIB = 1024 * 1024;

interface FakeReplica {
  address: string;
  /** what ReplicaGet tells */
  state: Record<string, unknown>;
  agent: Partial<ServiceHandlers<SyncAgentServiceMethods>>;
}

/** A world of one engine and some replicas on loopback; `calls` is what happened, in order. */
class World {
  readonly calls: string[] = [];
  readonly servers: RpcServer[] = [];
  readonly connections = new ClientCache();
  readonly replicas: FakeReplica[] = [];
  modes: number[] = [];
  volume: Record<string, unknown> = { name: 'v', size: MIB, replicaCount: 2 };
  controller: Partial<ServiceHandlers<ControllerServiceMethods>> = {};
  files = [{ from_file_name: 'volume-snap-a.img', to_file_name: 'volume-snap-a.img', actual_size: 4096 }];
  flow: EngineFlow = { connections: this.connections, address: '', volumeName: 'v', engineName: 'v-e-0' };

  note(name: string, detail = ''): void {
    this.calls.push(detail === '' ? name : `${name} ${detail}`);
  }

  /** `rN` of an address, so that expectations are readable. */
  nameOf(address: string): string {
    const index = this.replicas.findIndex((replica) => replica.address === address);
    return index < 0 ? address : `r${index}`;
  }

  async start(modes: number[]): Promise<void> {
    this.modes = modes;
    for (let index = 0; index < modes.length + 1; index++) await this.addReplica(index);
    const server = createServer({ identity: { role: 'controller', volumeName: 'v', instanceName: 'v-e-0' } });
    server.add(ControllerService, {
      VolumeGet: () => this.volume,
      VolumeStart: ({ replicaAddresses, size, currentSize }) => {
        this.note(
          'VolumeStart',
          `${replicaAddresses.map((address) => this.nameOf(address)).join()} ${size} ${currentSize}`,
        );
        return this.volume;
      },
      ReplicaList: () => ({
        replicas: this.modes.map((mode, index) => ({
          mode,
          address: { address: this.replicas[index]?.address ?? '' },
        })),
      }),
      ControllerReplicaCreate: ({ address, snapshot_required: snapshot, mode }) => {
        this.note('ControllerReplicaCreate', `${this.nameOf(address)} snapshot=${snapshot}`);
        this.modes.push(mode);
        return {};
      },
      ReplicaPrepareRebuild: ({ address, instanceName }) => {
        this.note('ReplicaPrepareRebuild', `${this.nameOf(address)} ${instanceName}`);
        return { sync_file_info_list: this.files };
      },
      ReplicaVerifyRebuild: ({ address, instanceName }) => {
        this.note('ReplicaVerifyRebuild', `${this.nameOf(address)} ${instanceName}`);
        return {};
      },
      ...this.controller,
    });
    this.servers.push(server);
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    this.flow = { ...this.flow, address: `127.0.0.1:${port}` };
  }

  private async addReplica(index: number): Promise<void> {
    const replica: FakeReplica = { address: '', state: { state: 'open', size: String(MIB) }, agent: {} };
    this.replicas.push(replica);
    const note = (name: string, detail = ''): void => this.note(`r${index}.${name}`, detail);
    const answer = (name: string): { replica: Record<string, unknown> } => {
      note(name);
      return { replica: replica.state };
    };
    const handlers: Partial<ServiceHandlers<ReplicaServiceMethods>> = {
      ReplicaGet: () => ({ replica: replica.state }),
      ReplicaOpen: () => answer('ReplicaOpen'),
      ReplicaOpenEpoch: ({ epoch, engineName }) => answer(`ReplicaOpenEpoch ${epoch} ${engineName}`),
      ReplicaClose: () => answer('ReplicaClose'),
      ReplicaExpand: ({ size }) => answer(`ReplicaExpand ${size}`),
      RebuildingSet: ({ rebuilding }) => answer(`RebuildingSet ${rebuilding}`),
      ReplicaReload: () => answer('ReplicaReload'),
      ReplicaSync: () => {
        note('ReplicaSync');
        return {};
      },
      DiskMarkAsRemoved: ({ name }) => answer(`DiskMarkAsRemoved ${name}`),
    };
    const agent: Partial<ServiceHandlers<SyncAgentServiceMethods>> = {
      SnapshotPurgeStatus: () => ({}),
      SnapshotHashLockState: () => ({}),
      SnapshotHashCancel: () => {
        throw new Error('snapshot hash job not found');
      },
      FilesSync: ({ from_address: from, to_host: host, sync_file_info_list: files }) => {
        note('FilesSync', `${this.nameOf(from)} ${host} ${files.length}`);
        return {};
      },
      SnapshotPurge: () => {
        note('SnapshotPurge');
        return {};
      },
      SnapshotHash: ({ snapshot_name: name, rehash }) => {
        note('SnapshotHash', `${name} ${rehash}`);
        return {};
      },
      SnapshotClone: ({ from_address: from, snapshot_file_name: name, to_host: host, engine_reverts: reverts }) => {
        note('SnapshotClone', `${this.nameOf(from)} ${name} ${host} ${reverts}`);
        return {};
      },
    };
    // A replica's agent listens on its port + 2.
    for (;;) {
      const server = createServer({ identity: { role: 'replica', volumeName: 'v', instanceName: `v-r-${index}` } });
      server.add(ReplicaService, handlers);
      const port = await server.listen({ host: '127.0.0.1', port: 0 });
      const agentServer = createServer({ identity: { role: 'replica', volumeName: 'v' } });
      agentServer.add(
        SyncAgentService,
        lateBound(agent, () => ({ ...agent, ...replica.agent })),
      );
      this.servers.push(server, agentServer);
      try {
        await agentServer.listen({ host: '127.0.0.1', port: port + 2 });
      } catch {
        continue;
      }
      replica.address = `tcp://127.0.0.1:${port}`;
      return;
    }
  }

  async stop(): Promise<void> {
    this.connections.close();
    await Promise.all(this.servers.map((server) => server.close()));
  }
}

/** Handlers that look their implementation up at each call, so that a test can change it. */
function lateBound(
  known: Partial<ServiceHandlers<SyncAgentServiceMethods>>,
  current: () => Partial<ServiceHandlers<SyncAgentServiceMethods>>,
): Partial<ServiceHandlers<SyncAgentServiceMethods>> {
  const names = [...Object.keys(known), 'SnapshotHashStatus', 'SnapshotCloneStatus', 'ReplicaRebuildStatus'];
  const call = (name: string) => (request: unknown, context: unknown) => {
    const handler: unknown = Reflect.get(current(), name);
    if (typeof handler !== 'function') throw rpcError(Code.Unimplemented, `method ${name} not implemented`);
    return (handler as (...given: unknown[]) => unknown)(request, context);
  };
  return Object.fromEntries([...names, 'RestoreStatus'].map((name) => [name, call(name)]));
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.stop());

function addition(index: number): ReplicaAddition {
  return {
    address: world.replicas[index]?.address ?? '',
    instanceName: `v-r-${index}`,
    size: MIB,
    currentSize: MIB,
    fastSync: false,
    fileSyncHttpTimeoutSeconds: 5,
    grpcTimeoutSeconds: 0,
    localSync: null,
  };
}

function setState(index: number, change: Record<string, unknown>): void {
  const replica = world.replicas[index];
  if (replica) replica.state = { ...replica.state, ...change };
}

const REBUILD = [
  'ControllerReplicaCreate r2 snapshot=true',
  'r2.RebuildingSet true',
  'ReplicaPrepareRebuild r2 v-r-2',
  'r2.FilesSync r0 127.0.0.1 1',
  'r2.ReplicaReload',
  'ReplicaVerifyRebuild r2 v-r-2',
  'r2.RebuildingSet false',
];

describe('a rebuild', () => {
  it('runs in upstream’s order', async () => {
    await world.start([RW, RW]);
    await addReplica(world.flow, addition(2));
    expect(world.calls).toEqual(REBUILD);
  });

  it('syncs a replica that knows epochs before it may join', async () => {
    await world.start([RW, RW]);
    setState(2, { capabilities: ['epoch'] });
    await addReplica(world.flow, addition(2));
    expect(world.calls).toEqual(REBUILD.toSpliced(5, 0, 'r2.ReplicaSync'));
  });

  it.each([
    { told: '', name: 'v-e-0' },
    { told: 'v-e-1', name: 'v-e-1' },
  ])('expands a smaller closed replica, and takes a stale mark off, as the engine itself: $name', async (engine) => {
    world.volume = { ...world.volume, epoch: 7, engineName: engine.told };
    await world.start([RW, RW]);
    setState(2, { capabilities: ['epoch'], state: 'closed', size: '4096', rebuilding: true });
    await addReplica(world.flow, addition(2));
    expect(world.calls.slice(0, 7)).toEqual([
      `r2.ReplicaOpenEpoch 7 ${engine.name}`,
      `r2.ReplicaExpand ${MIB}`,
      'r2.ReplicaClose',
      `r2.ReplicaOpenEpoch 7 ${engine.name}`,
      'r2.RebuildingSet false',
      'r2.ReplicaClose',
      'ControllerReplicaCreate r2 snapshot=true',
    ]);
  });

  it('copies from a replica whose agent answers and is not purging', async () => {
    await world.start([ERR, RW, RW]);
    const [, purging] = world.replicas;
    if (purging) purging.agent = { SnapshotPurgeStatus: () => ({ is_purging: true }) };
    await addReplica(world.flow, addition(3));
    expect(world.calls).toContain('r3.FilesSync r2 127.0.0.1 1');
  });

  it('starts an engine that has no replica', async () => {
    world.volume = { ...world.volume, replicaCount: 0 };
    await world.start([]);
    await addReplica(world.flow, addition(0));
    expect(world.calls).toEqual([`VolumeStart r0 ${MIB} ${MIB}`]);
  });

  it.each([
    [
      'a larger replica',
      () => setState(2, { size: String(2 * MIB) }),
      'cannot add new replica larger than size 1048576',
      0,
    ],
    [
      'a list with the head',
      () => {
        world.files = [{ from_file_name: 'volume-head-001.img', to_file_name: 'x', actual_size: 0 }];
      },
      "sync file list shouldn't contain volume head",
      3,
    ],
    [
      'a failed transfer',
      () => {
        const agent = world.replicas[2];
        if (!agent) return;
        agent.agent = {
          FilesSync: () => {
            throw rpcError(Code.DeadlineExceeded, 'context deadline exceeded');
          },
        };
      },
      'rpc error: code = DeadlineExceeded desc = context deadline exceeded',
      3,
    ],
  ])('ends at %s', async (_name, prepare, text, callCount) => {
    await world.start([RW, RW]);
    prepare();
    await expect(addReplica(world.flow, addition(2))).rejects.toThrow(text);
    expect(world.calls).toHaveLength(callCount);
    expect(world.calls).not.toContain('ReplicaVerifyRebuild r2 v-r-2');
  });

  it('refuses a replica of another name at the address', async () => {
    await world.start([RW, RW]);
    const wrong = addReplica(world.flow, { ...addition(2), instanceName: 'v-r-9' });
    await expect(wrong).rejects.toThrow('incorrect instance name v-r-9; check replica address');
    await expect(wrong).rejects.toSatisfy(
      (error) => error instanceof RpcError && error.code === Code.FailedPrecondition,
    );
  });

  it('for a restore adds the replica without data, of equal size only', async () => {
    await world.start([RW, RW]);
    await addRestoreReplica(world.flow, addition(2));
    expect(world.calls).toEqual(['ControllerReplicaCreate r2 snapshot=false']);
    setState(2, { size: '4096' });
    const text = 'rebuilding replica size 4096 is not the same as volume size 1048576';
    await expect(addRestoreReplica(world.flow, addition(2))).rejects.toThrow(text);
  });

  it('tells the progress of WO replicas, and a failure as its error', async () => {
    await world.start([RW, WO]);
    const [, wo] = world.replicas;
    if (!wo) throw new Error('no replica');
    const progress = {
      is_rebuilding: true,
      progress: 42,
      state: 'in_progress',
      from_replica_address: 'x',
      error: '',
      bytes_done: 43,
      bytes_total: 100,
      bytes_written: 41,
      paused: false,
      bytes_per_second_max: 0,
    };
    wo.agent = { ReplicaRebuildStatus: () => progress };
    expect(await rebuildingStatus(world.flow)).toEqual({ [wo.address]: progress });
    wo.agent = { RestoreStatus: () => ({ dest_file_name: 'volume-snap-x.img' }), ReplicaRebuildStatus: () => progress };
    expect(await rebuildingStatus(world.flow)).toEqual({});
    wo.agent = {};
    expect((await rebuildingStatus(world.flow))[wo.address]?.error).toContain(
      'failed to get replica rebuild status of',
    );
  });
});

const DISKS = {
  'volume-head-001.img': { name: 'volume-head-001.img', parent: 'volume-snap-a.img' },
  'volume-snap-a.img': {
    name: 'volume-snap-a.img',
    parent: 'backing.img',
    children: { 'volume-head-001.img': true },
    removed: true,
  },
  'backing.img': { name: 'backing.img', children: { 'volume-snap-a.img': true } },
};

describe('snapshots', () => {
  it('are those of the RW replica that has most, by their names', async () => {
    await world.start([RW, RW, ERR]);
    setState(1, { disks: DISKS });
    const snapshots = await listSnapshots(world.flow);
    expect(Object.keys(snapshots).toSorted()).toEqual(['a', 'volume-head']);
    expect(snapshots['a']).toMatchObject({ name: 'a', parent: '', children: { 'volume-head': true }, removed: true });
    expect(snapshots['volume-head']).toMatchObject({ name: 'volume-head', parent: 'a', children: {} });
  });

  it('are marked on every replica, or on none when one is not RW or rebuilding', async () => {
    await world.start([RW, RW]);
    await removeSnapshots(world.flow, ['a', 'b']);
    const marks = [
      'r0.DiskMarkAsRemoved a',
      'r1.DiskMarkAsRemoved a',
      'r0.DiskMarkAsRemoved b',
      'r1.DiskMarkAsRemoved b',
    ];
    expect(world.calls).toEqual(marks);
    world.modes = [RW, WO];
    await expect(removeSnapshots(world.flow, ['c'])).rejects.toThrow('from replica in mode RW, got WO');
    world.modes = [RW, RW];
    setState(1, { rebuilding: true });
    await expect(removeSnapshots(world.flow, ['c'])).rejects.toThrow(
      /cannot remove a snapshot because .* is rebuilding/,
    );
    expect(world.calls).toEqual(marks);
  });

  it('are not reported as removed when a replica that nobody has opened does nothing', async () => {
    await world.start([RW, RW]);
    setState(1, { state: 'closed' });
    await expect(removeSnapshots(world.flow, ['a'])).rejects.toThrow(
      /failed to mark snapshot a .*is not open; try again/,
    );
  });

  it('are purged on all replicas but failed ones; a purge that runs is skipped or refused', async () => {
    await world.start([RW, ERR, RW]);
    await purgeSnapshots(world.flow, false);
    expect(world.calls.toSorted()).toEqual(['r0.SnapshotPurge', 'r2.SnapshotPurge']);
    const [first] = world.replicas;
    const already = (): never => {
      throw new Error('replica is already purging snapshots');
    };
    const purging = { is_purging: true, state: 'in_progress' };
    if (first) first.agent = { SnapshotPurgeStatus: () => purging, SnapshotPurge: already };
    // The others may not have been told: whoever began it may have ended before.
    await purgeSnapshots(world.flow, true);
    expect(world.calls.slice(2)).toEqual(['r2.SnapshotPurge']);
    await expect(purgeSnapshots(world.flow, false)).rejects.toThrow('is already purging snapshots');
    expect(world.calls).toHaveLength(3);
    const status = await purgeStatus(world.flow);
    expect(Object.keys(status).map((address) => world.nameOf(address))).toEqual(['r0', 'r2']);
    expect(status[first?.address ?? '']).toMatchObject({ is_purging: true, state: 'in_progress' });
  });

  it('are hashed only where all replicas are free, and a corrupted one is told', async () => {
    await world.start([RW, RW]);
    await hashSnapshot(world.flow, 'a', true);
    expect(world.calls.toSorted()).toEqual(['r0.SnapshotHash a true', 'r1.SnapshotHash a true']);
    const [first, second] = world.replicas;
    if (!first || !second) throw new Error('no replicas');
    second.agent = { SnapshotHashLockState: () => ({ is_locked: true }) };
    const refused = hashSnapshot(world.flow, 'a', true);
    await expect(refused).rejects.toThrow(
      `cannot request hashing snapshot because ${second.address} is hashing snapshot`,
    );
    first.agent = { SnapshotHashStatus: () => ({ state: 'complete', silently_corrupted: true }) };
    world.modes = [RW, ERR];
    const status = await hashStatus(world.flow, 'a');
    expect(status[first.address]).toMatchObject({ state: 'complete', silently_corrupted: true });
    expect(status[second.address]).toMatchObject({
      state: 'error',
      error: expect.stringContaining('it is in ERR mode'),
    });
  });

  const cloneOfA = (): CloneRequest => ({
    source: world.flow,
    snapshotName: 'a',
    exportBackingImageIfExist: false,
    fileSyncHttpTimeoutSeconds: 5,
    grpcTimeoutSeconds: 0,
  });

  it('are cloned from an RW replica of the source into every replica', async () => {
    await world.start([RW, RW]);
    const request = cloneOfA();
    await cloneSnapshot(world.flow, request);
    expect(world.calls.toSorted()).toEqual([
      'r0.SnapshotClone r0 a 127.0.0.1 false',
      'r1.SnapshotClone r0 a 127.0.0.1 false',
    ]);
    expect(Object.values(await cloneStatus(world.flow))[0]?.error).toContain('failed to get snapshot clone status of');
    world.modes = [RW, WO];
    await expect(cloneSnapshot(world.flow, request)).rejects.toThrow(
      'in WO mode. All replicas in the target volume must',
    );
    world.modes = [ERR, WO];
    await expect(cloneSnapshot(world.flow, request)).rejects.toThrow('cannot find a RW replica in the source volume');
  });

  it('are cloned by an engine with an epoch, which reverts to the copy; another source replica follows one that fails', async () => {
    world.controller = {
      VolumeRevert: ({ name }) => {
        world.note('VolumeRevert', name);
        return {};
      },
    };
    await world.start([RW, RW]);
    world.volume = { ...world.volume, epoch: 3 };
    let isDone = true;
    for (const [index, replica] of world.replicas.entries()) {
      replica.agent = {
        SnapshotCloneStatus: () => ({ state: isDone ? 'complete' : 'in_progress' }),
        SnapshotClone: ({ from_address: from }) => {
          world.note(`r${index}.SnapshotClone`, world.nameOf(from));
          if (world.nameOf(from) === 'r0') throw new Error('the source has gone');
          return {};
        },
      };
    }
    const request = cloneOfA();
    await cloneSnapshot(world.flow, request);
    const rest = world.calls.slice(2);
    expect(world.calls.slice(0, 2).toSorted()).toEqual(['r0.SnapshotClone r0', 'r1.SnapshotClone r0']);
    expect(rest.toSorted()).toEqual(['VolumeRevert a', 'r0.SnapshotClone r1', 'r1.SnapshotClone r1']);
    isDone = false;
    await expect(cloneSnapshot(world.flow, request)).rejects.toThrow('the copy of a is in_progress');
    isDone = true;
    for (const replica of world.replicas) replica.state = { ...replica.state, chain: ['h', 'volume-snap-a.img'] };
    const before = world.calls.length;
    await cloneSnapshot(world.flow, request);
    expect(world.calls.slice(before)).not.toContain('VolumeRevert a');
  });
});

it('a dead engine is told in upstream’s words', async () => {
  const flow = { ...world.flow, address: 'tcp://127.0.0.1:1' };
  await expect(listReplicas(flow)).rejects.toThrow(
    'failed to list replicas for volume 127.0.0.1:1: rpc error: code = Unavailable desc = connection error',
  );
  expect(syncAgentAddress('tcp://10.0.0.1:10010')).toBe('10.0.0.1:10012');
});
