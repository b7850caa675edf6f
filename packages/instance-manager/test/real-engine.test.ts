/** The proxy's flows on the real engine and replicas, run from their sources as the instance manager's processes. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ProxyEngineService, type ProxyEngineServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import { ProcessManagerService, type ProcessManagerServiceMethods } from '@longhorn/shared-types/generated/nameless';
import { ReplicaMode } from '@longhorn/shared-types/generated/ptypes';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import { startDaemon, type Daemon } from '../src/daemon.ts';
import { PROCESS_LIMITS } from '../src/limits.ts';

const POD_IP = '127.1.204.1';
const SIZE = 16 * 1024 * 1024;
const VOLUME = 'vol';
const ENGINE = 'vol-e-0';
const PATIENT = { timeout: 30_000, interval: 100 };

let folder: string;
let binary: string;
let daemon: Daemon;
let processes: ServiceClient<ProcessManagerServiceMethods>;
let proxy: ServiceClient<ProxyEngineServiceMethods>;
let replicas: string[];
let engine: { address: string; volume_name: string; engine_name: string };

async function running(name: string): Promise<number> {
  return vi.waitFor(async () => {
    const { status } = await processes.ProcessGet({ name });
    if (status?.state !== 'running') throw new Error(`${name} is ${status?.state}: ${status?.error_msg}`);
    return status.port_start;
  }, PATIENT);
}

async function startReplica(name: string): Promise<string> {
  const args = ['--volume-name', VOLUME, 'replica', join(folder, name), '--size', String(SIZE)];
  const spec = {
    name,
    binary,
    args: [...args, '--replica-instance-name', name, '--sync-agent-port-count', '7'],
    port_count: 10,
    port_args: ['--listen,:'],
  };
  await processes.ProcessCreate({ spec });
  return `tcp://${POD_IP}:${await running(name)}`;
}

/** What the manager stores for a new volume before its first start. */
const FIRST_RECORD = { epoch: 0, count: 1, members: ['vol-r-1', 'vol-r-2'], decided: true };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'real-engine-'));
  mkdirSync(join(folder, 'binaries', 'image'), { recursive: true });
  mkdirSync(join(folder, 'run'));
  binary = join(folder, 'binaries', 'image', 'longhorn');
  const main = fileURLToPath(new URL('../../engine/src/main.ts', import.meta.url));
  writeFileSync(binary, `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  chmodSync(binary, 0o755);
  const runFolder = join(folder, 'run');
  const roots = { LONGHORN_HOST_ROOT: '', LONGHORN_DATA_ROOT: folder, LONGHORN_RUN_DIR: runFolder };
  daemon = await startDaemon({
    listen: ':8500',
    logsFolder: join(folder, 'logs'),
    ports: { start: 10_000, end: 10_099 },
    tlsFolder: '',
    binaryFolders: [join(folder, 'binaries')],
    podIp: POD_IP,
    hostRoot: '',
    runFolder,
    env: { ...process.env, ...roots, POD_IP },
    logger: pino({ level: 'silent' }),
    limits: PROCESS_LIMITS,
  });
  processes = createClient(ProcessManagerService, `${POD_IP}:8500`);
  proxy = createClient(ProxyEngineService, `${POD_IP}:8501`);
  replicas = await Promise.all(['vol-r-1', 'vol-r-2', 'vol-r-3'].map(startReplica));
  const sizes = ['--size', String(SIZE), '--current-size', String(SIZE)];
  const fencing = ['--epoch', '1', '--membership', JSON.stringify(FIRST_RECORD)];
  const members = replicas.slice(0, 2).flatMap((address) => ['--replica', address]);
  const args = ['--engine-instance-name', ENGINE, 'controller', VOLUME, ...sizes, ...fencing, ...members];
  await processes.ProcessCreate({ spec: { name: ENGINE, binary, args, port_count: 1, port_args: ['--listen,:'] } });
  engine = { address: `${POD_IP}:${await running(ENGINE)}`, volume_name: VOLUME, engine_name: ENGINE };
}, 60_000);

afterAll(async () => {
  processes.close();
  proxy.close();
  await daemon.shutdown();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

const onEngine = (): { proxy_engine_request: typeof engine } => ({ proxy_engine_request: engine });

async function modes(): Promise<Record<string, number>> {
  const { replica_list: list } = await proxy.ReplicaList(engine);
  return Object.fromEntries((list?.replicas ?? []).map(({ address, mode }) => [address?.address ?? '', mode]));
}

function addThird(): Promise<unknown> {
  const address = { replica_address: replicas[2] ?? '', replica_name: 'vol-r-3' };
  return proxy.ReplicaAdd({ ...onEngine(), ...address, size: SIZE, current_size: SIZE });
}

describe('the proxy with a real engine', { timeout: 60_000 }, () => {
  it('takes a snapshot and rebuilds a third replica, twice', async () => {
    await vi.waitFor(async () => {
      const { volume } = await proxy.VolumeGet(engine);
      if (volume?.ioState !== 'serving') throw new Error(`engine is ${volume?.ioState}: ${volume?.ioReason}`);
    }, PATIENT);
    const answer = await proxy.VolumeSnapshot({ ...onEngine(), snapshot_volume: { name: 'snap-1' } });
    expect(answer.snapshot).toEqual({ name: 'snap-1' });
    await addThird();
    const all = Object.fromEntries(replicas.map((address) => [address, ReplicaMode.RW]));
    expect(await modes()).toEqual(all);
    await proxy.ReplicaRemove({ ...onEngine(), replica_address: replicas[2] ?? '' });
    expect(Object.keys(await modes())).toEqual(replicas.slice(0, 2));
    await addThird();
    expect(await modes()).toEqual(all);
    const { volume } = await proxy.VolumeGet(engine);
    expect(volume?.membership?.members).toEqual(['vol-r-1', 'vol-r-2', 'vol-r-3']);
    expect(await proxy.ReplicaRebuildingStatus(engine)).toEqual({ status: {} });
  });

  it('hashes a snapshot on all replicas, removes it and purges', async () => {
    await proxy.SnapshotHash({ ...onEngine(), snapshot_name: 'snap-1' });
    const status = await vi.waitFor(async () => {
      const answer = await proxy.SnapshotHashStatus({ ...onEngine(), snapshot_name: 'snap-1' });
      const states = Object.values(answer.status).map(({ state }) => state);
      if (states.some((state) => state !== 'complete')) throw new Error(states.join());
      return answer.status;
    }, PATIENT);
    expect(Object.keys(status).toSorted()).toEqual(replicas.toSorted());
    expect(new Set(Object.values(status).map(({ checksum }) => checksum)).size).toBe(1);
    await proxy.SnapshotRemove({ ...onEngine(), names: ['snap-1'] });
    expect((await proxy.SnapshotList(engine)).disks['snap-1']).toMatchObject({ removed: true, user_created: true });
    await proxy.SnapshotPurge({ ...onEngine(), skip_if_in_progress: true });
    await vi.waitFor(async () => {
      const answer = await proxy.SnapshotPurgeStatus(engine);
      const states = Object.values(answer.status).map(({ state }) => state);
      if (states.some((state) => state !== 'complete')) throw new Error(states.join());
    }, PATIENT);
    expect(Object.keys((await proxy.SnapshotList(engine)).disks)).not.toContain('snap-1');
  });

  it('sets what can be set, and expands', async () => {
    await proxy.VolumeSnapshotMaxCountSet({ ...onEngine(), count: { count: 100 } });
    await proxy.VolumeSnapshotMaxSizeSet({ ...onEngine(), size: { size: 4 * SIZE } });
    await proxy.VolumeUnmapMarkSnapChainRemovedSet({ ...onEngine(), unmap_mark_snap: { enabled: true } });
    await proxy.VolumeExpand({ ...onEngine(), expand: { size: 2 * SIZE } });
    await vi.waitFor(async () => {
      const { volume } = await proxy.VolumeGet(engine);
      if (volume?.size !== 2 * SIZE || volume.isExpanding)
        throw new Error(`size ${volume?.size}: ${volume?.last_expansion_error}`);
    }, PATIENT);
    const { volume } = await proxy.VolumeGet(engine);
    expect(volume).toMatchObject({
      snapshot_max_count: 100,
      snapshot_max_size: 4 * SIZE,
      unmap_mark_snap_chain_removed: true,
    });
    expect((await proxy.MetricsGet(engine)).metrics).toMatchObject({ writeIOPS: 0 });
    expect((await proxy.ServerVersionGet({ address: engine.address })).version).toMatchObject({ cliAPIVersion: 10 });
  });

  it('starts and shuts down a frontend, and drops a replica by its mode', async () => {
    await expect(proxy.VolumeFrontendStart({ ...onEngine(), frontend_start: { frontend: 'rest' } })).rejects.toThrow(
      'unsupported frontend type: rest',
    );
    await proxy.VolumeFrontendStart({ ...onEngine(), frontend_start: { frontend: 'nbd' } });
    expect((await proxy.VolumeGet(engine)).volume?.endpoint).toMatch(/^nbd:/);
    await proxy.VolumeFrontendShutdown(engine);
    expect((await proxy.VolumeGet(engine)).volume).toMatchObject({ endpoint: '', frontendState: 'down' });
    const third = replicas[2] ?? '';
    await expect(
      proxy.ReplicaModeUpdate({ ...onEngine(), replica_address: third, mode: ReplicaMode.WO }),
    ).rejects.toThrow('cannot set to mode WO');
    await proxy.ReplicaModeUpdate({ ...onEngine(), replica_address: third, mode: ReplicaMode.ERR });
    expect((await modes())[third]).not.toBe(ReplicaMode.RW);
  });

  it('limits the rebuilds that there are', async () => {
    const limit = (mbps: number): Promise<object> =>
      proxy.ReplicaRebuildingQosSet({ ...onEngine(), qos_limit_mbps: mbps });
    expect(await limit(7), 'there is none').toEqual({});
    await expect(limit(-1)).rejects.toThrow('qos_limit_mbps -1: must be 0 (no limit) or above');
    const third = replicas[2] ?? '';
    await proxy.ReplicaRemove({ ...onEngine(), replica_address: third });
    const named = { replica_address: third, replica_name: 'vol-r-3' };
    await proxy.ReplicaAdd({ ...onEngine(), ...named, size: 2 * SIZE, current_size: 2 * SIZE, restore: true });
    await limit(7);
    const { status } = await proxy.ReplicaRebuildingStatus(engine);
    expect(status[third]).toMatchObject({ bytes_per_second_max: 7 << 20, paused: false });
  });

  it('reports a killed replica process at once, and the engine drops it', async () => {
    const socket = join(folder, 'run', 'data', 'vol-r-1.sock');
    expect(existsSync(socket)).toBe(true);
    process.kill(daemon.manager.get('vol-r-1').pid, 'SIGKILL');
    await vi.waitFor(async () => {
      const mode = (await modes())[replicas[0] ?? ''];
      if (mode === ReplicaMode.RW) throw new Error('still RW');
    }, PATIENT);
    const { status } = await processes.ProcessGet({ name: 'vol-r-1' });
    expect(status).toMatchObject({ state: 'error', error_msg: 'signal: killed' });
    expect(existsSync(socket), 'it leaves nothing in the run folder').toBe(false);
  });
});
