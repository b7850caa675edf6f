/**
 * The CSI plugin against the real system: the conformance suite, mounted and as raw devices, and what the suite does not
 * ask: data that stays, a second node, a plugin that is killed between two steps, growth, reading only.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@longhorn/engine/testing/wait';
import type { VolumeCapability } from '@longhorn/shared-types/generated/csi-v1';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { Cluster } from '../src/cluster.ts';
import { CsiPlugin, mountOf, RAW } from '../src/csi-plugin.ts';
import { findCsiSanity, judge, runCsiSanity, runWholeSuite, type Finding } from '../src/csi-sanity.ts';
import { run } from '../src/shell.ts';

const MIB = 1 << 20;
const root = process.getuid?.() === 0;
const sanity = findCsiSanity();
if (!root) console.log('CSI: skipped, it wants root');
else if (sanity === null) console.log('CSI: csi-sanity is not on the PATH, its part is skipped');

const folder = mkdtempSync(join(tmpdir(), 'longhorn-csi-'));
const cluster = new Cluster(join(folder, 'cluster'), 24);
const plugins: CsiPlugin[] = [];
const plugin = (index: number): CsiPlugin => {
  const found = plugins[index];
  if (found === undefined) throw new Error(`plugin ${index} was not started`);
  return found;
};

beforeAll(async () => {
  if (!root) return;
  await cluster.start();
  for (const node of ['node-1', 'node-2']) {
    const made = new CsiPlugin(node, join(folder, node), `${cluster.rest.url}/v1`);
    plugins.push(made);
    await made.start();
  }
});

afterAll(async () => {
  for (const one of plugins) await one.stop();
  if (root) await cluster.stop();
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const left = mounts.map((line) => line.split(' ')[1] ?? '').filter((path) => path.startsWith(`${folder}/`));
  for (const path of left.toReversed()) await run('umount', [path]);
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(!root || sanity === null)('csi-sanity', () => {
  let findings: { mount: Finding[]; block: Finding[] } = { mount: [], block: [] };
  beforeAll(async () => {
    const program = sanity ?? '';
    findings = await runWholeSuite((accessType, focus, skip) => {
      const { socket, folder: own } = plugin(accessType === 'mount' ? 0 : 1);
      return runCsiSanity({ program, socket, folder: join(own, accessType), accessType, focus, skip });
    });
  }, 900_000);

  it.each(['mount', 'block'] as const)('passes with volumes of access type %s', (accessType) => {
    const judged = judge(findings[accessType]);
    console.log(`    ${accessType}: ${judged.report.join('\n      ')}`);
    expect(judged.faults).toEqual([]);
  });
});

interface Paths {
  staging_target_path: string;
  target_path: string;
}

function pathsOf(index: number, id: string): Paths {
  const { folder: own } = plugin(index);
  return { staging_target_path: join(own, id, 'stage'), target_path: join(own, id, 'pod', 'mount') };
}

async function createVolume(name: string, mib: number, capability: VolumeCapability, parameters = {}): Promise<string> {
  const { volume } = await plugin(0).controller.CreateVolume({
    name,
    capacity_range: { required_bytes: BigInt(mib * MIB) },
    volume_capabilities: [capability],
    parameters: { numberOfReplicas: '2', ...parameters },
  });
  return volume?.volume_id ?? '';
}

async function attach(index: number, id: string, capability: VolumeCapability): Promise<void> {
  const { controller, node } = plugin(index);
  await controller.ControllerPublishVolume({ volume_id: id, node_id: node, volume_capability: capability });
}

async function mount(index: number, id: string, capability: VolumeCapability, readonly = false): Promise<string> {
  const { nodeService } = plugin(index);
  const { staging_target_path, target_path } = pathsOf(index, id);
  const request = { volume_id: id, staging_target_path, volume_capability: capability };
  await nodeService.NodeStageVolume(request);
  await nodeService.NodePublishVolume({ ...request, target_path, readonly });
  return target_path;
}

async function unmount(index: number, id: string): Promise<void> {
  const { nodeService } = plugin(index);
  const { staging_target_path, target_path } = pathsOf(index, id);
  await nodeService.NodeUnpublishVolume({ volume_id: id, target_path });
  await nodeService.NodeUnstageVolume({ volume_id: id, staging_target_path });
}

async function detach(index: number, id: string): Promise<void> {
  const { controller, node } = plugin(index);
  await controller.ControllerUnpublishVolume({ volume_id: id, node_id: node });
}

async function remove(index: number, id: string): Promise<void> {
  await unmount(index, id);
  await detach(index, id);
  await plugin(index).controller.DeleteVolume({ volume_id: id });
}

/** Bytes of the file system at a path. */
function totalBytes(path: string): number {
  const { blocks, bsize } = statfsSync(path);
  return blocks * bsize;
}

/** The kernel lets only those with CAP_SYS_RESOURCE (bit 24) grow an ext file system that is mounted. */
function mayGrowMountedExt(): boolean {
  const effective = /^CapEff:\s+([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> 24n) & 1n) === 1n;
}

describe.skipIf(!root)('a volume', () => {
  it.each([
    ['ext4', 64],
    ['xfs', 320],
  ])('with %s keeps its data from pod to pod and from node to node', async (fsType, mib) => {
    const capability = mountOf(fsType, ['noatime']);
    const id = await createVolume(`keep-${fsType}`, mib, capability);
    await attach(0, id, capability);
    writeFileSync(join(await mount(0, id, capability), 'words'), fsType, { flush: true });
    await unmount(0, id);
    expect(readFileSync(join(await mount(0, id, capability), 'words'), 'utf8')).toBe(fsType);
    await unmount(0, id);
    await detach(0, id);
    await attach(1, id, capability);
    const path = await mount(1, id, capability);
    expect(readFileSync(join(path, 'words'), 'utf8')).toBe(fsType);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toMatch(new RegExp(`${path} rw,noatime .* ${fsType} `));
    await remove(1, id);
    expect(existsSync(path)).toBe(false);
  });

  it('of one node is refused to a second one, with the name of the first; it comes when that lets go', async () => {
    const id = await createVolume('one-node', 16, RAW);
    await attach(0, id, RAW);
    await expect(attach(1, id, RAW)).rejects.toMatchObject({
      code: 9,
      details: expect.stringMatching(
        /one-node is held by a workload \(csi-attacher\) on node node-1.*comes to node node-2/,
      ),
    });
    await expect(plugin(1).controller.DeleteVolume({ volume_id: id })).rejects.toMatchObject({
      code: 9,
      details: expect.stringMatching(/in use by a workload .* on node node-1.*detach it before/),
    });
    const { entries } = await plugin(1).controller.ListVolumes({});
    const listed = entries.find(({ volume }) => volume?.volume_id === id);
    expect(listed?.status?.published_node_ids).toEqual(['node-1']);
    await detach(0, id);
    await attach(1, id, RAW);
    await cluster.rest.action(id, 'attach', { hostId: 'node-2', attachmentID: 'by-hand' });
    await detach(1, id);
    await expect(attach(0, id, RAW)).rejects.toMatchObject({
      details: expect.stringMatching(/held by an attachment by hand .* on node node-2, ticket "by-hand"/),
    });
    await cluster.rest.action(id, 'detach', { attachmentID: 'by-hand' });
    await attach(0, id, RAW);
    await remove(0, id);
  });

  it('goes on where a killed plugin left it, step by step', async () => {
    const capability = mountOf('ext4');
    const id = await createVolume('killed', 64, capability);
    const { staging_target_path, target_path } = pathsOf(0, id);
    const request = { volume_id: id, staging_target_path, volume_capability: capability };
    const steps = [
      () => attach(0, id, capability),
      () => plugin(0).nodeService.NodeStageVolume(request),
      () => plugin(0).nodeService.NodePublishVolume({ ...request, target_path }),
      () => plugin(0).nodeService.NodeUnpublishVolume({ volume_id: id, target_path }),
      () => plugin(0).nodeService.NodeUnstageVolume({ volume_id: id, staging_target_path }),
    ];
    for (const [index, step] of steps.entries()) {
      // At a different moment in each round; what it has started may still end.
      const cut = step().then(
        () => 'done',
        (error: unknown) => String(error),
      );
      await delay(10 + index * 15);
      await plugin(0).end('SIGKILL');
      await cut;
      await plugin(0).start();
      await waitFor(`step ${index} is done`, 60_000, async () => {
        await step();
        return true;
      });
      if (index === 2) writeFileSync(join(target_path, 'words'), 'still here', { flush: true });
    }
    expect(readFileSync(join(await mount(0, id, capability), 'words'), 'utf8')).toBe('still here');
    await remove(0, id);
  });

  it.each([
    ['ext4', 64],
    ['xfs', 320],
  ])('with %s grows while it is mounted, and while it is detached', async (fsType, mib) => {
    const capability = mountOf(fsType);
    const id = await createVolume(`grow-${fsType}`, mib, capability);
    await attach(0, id, capability);
    const path = await mount(0, id, capability);
    const grow = (to: number) =>
      plugin(0).controller.ControllerExpandVolume({
        volume_id: id,
        capacity_range: { required_bytes: BigInt(to * MIB) },
        volume_capability: capability,
      });
    const before = totalBytes(path);
    expect(await grow(mib * 2)).toEqual({ capacity_bytes: BigInt(mib * 2 * MIB), node_expansion_required: true });
    const { staging_target_path } = pathsOf(0, id);
    const onNode = { volume_id: id, volume_path: path, staging_target_path, volume_capability: capability };
    const range = { required_bytes: BigInt(mib * 2 * MIB) };
    const grown = await plugin(0)
      .nodeService.NodeExpandVolume({ ...onNode, capacity_range: range })
      .then(
        () => 'grown',
        (error: unknown) => errorText(error),
      );
    const mayGrow = fsType !== 'ext4' || mayGrowMountedExt();
    expect(grown).toMatch(mayGrow ? /^grown$/ : /FailedPrecondition.*CAP_SYS_RESOURCE/);
    expect(totalBytes(path)).toBeGreaterThan(mayGrow ? before * 1.5 : before - 1);
    await unmount(0, id);
    await detach(0, id);
    await waitFor('the volume is detached', 30_000, async () => {
      const { state } = await cluster.rest.get<{ state: string }>(`/v1/volumes/${id}`);
      return state === 'detached';
    });
    expect(await grow(mib * 3)).toMatchObject({ node_expansion_required: false });
    await attach(1, id, capability);
    expect(totalBytes(await mount(1, id, capability))).toBeGreaterThan(before * 2.4);
    await remove(1, id);
  });

  it.each([
    ['ext4', 64],
    ['xfs', 320],
  ])('with %s is copied while it is mounted, and restored into a larger one', async (fsType, mib) => {
    const capability = mountOf(fsType);
    const { controller } = plugin(0);
    const id = await createVolume(`source-${fsType}`, mib, capability);
    await attach(0, id, capability);
    const path = await mount(0, id, capability);
    writeFileSync(join(path, 'words'), 'before', { flush: true });
    const { snapshot } = await controller.CreateSnapshot({
      source_volume_id: id,
      name: `point-${fsType}`,
      parameters: { type: 'snap' },
    });
    const snapshot_id = snapshot?.snapshot_id ?? '';
    writeFileSync(join(path, 'words'), 'after', { flush: true });
    const make = async (name: string, to: number, volume_content_source: object): Promise<string> => {
      const request = {
        name,
        capacity_range: { required_bytes: BigInt(to * MIB) },
        volume_capabilities: [capability],
        parameters: { numberOfReplicas: '2' },
        volume_content_source,
      };
      const { volume } = await controller.CreateVolume(request);
      expect(volume?.content_source).toMatchObject(volume_content_source);
      return volume?.volume_id ?? '';
    };
    const restored = await make(`restored-${fsType}`, mib * 2, { snapshot: { snapshot_id } });
    const copied = await make(`copied-${fsType}`, mib, { volume: { volume_id: id } });
    await expect(make('small', mib / 2, { volume: { volume_id: id } })).rejects.toMatchObject({ code: 11 });
    for (const [copy, words, node] of [
      [restored, 'before', 1],
      [copied, 'after', 0],
    ] as const) {
      await attach(node, copy, capability);
      const at = await mount(node, copy, capability);
      expect(readFileSync(join(at, 'words'), 'utf8')).toBe(words);
      expect(totalBytes(at) > totalBytes(path) * 1.5).toBe(copy === restored);
    }
    await controller.DeleteSnapshot({ snapshot_id });
    // Made again, it does not need what it was made from.
    await remove(0, id);
    expect(await make(`copied-${fsType}`, mib, { volume: { volume_id: id } })).toBe(copied);
    await remove(1, restored);
    await remove(0, copied);
  });

  it('published for reading takes no writes, and tells how full it is', async () => {
    const capability = mountOf('ext4');
    const id = await createVolume('reading', 64, capability, { numberOfReplica: '3' });
    await attach(0, id, capability);
    const path = await mount(0, id, capability, true);
    expect(() => writeFileSync(join(path, 'words'), 'no')).toThrow(/EROFS/);
    const { usage, volume_condition: condition } = await plugin(0).nodeService.NodeGetVolumeStats({
      volume_id: id,
      volume_path: path,
    });
    expect(usage[0]).toMatchObject({ unit: 1, total: BigInt(totalBytes(path)) });
    expect(usage[1]?.unit).toBe(2);
    expect(condition?.abnormal).toBe(false);
    await remove(0, id);
    const events = await cluster.kubectl([
      '-n',
      'longhorn-system',
      'get',
      'events',
      '--field-selector',
      'type=Warning',
    ]);
    expect(events).toMatch(/UnknownParameters.*volume\/reading.*numberOfReplica/);
  });

  it.each([
    ['a wrong value', { parameters: { dataLocality: 'near' } }, 3, /dataLocality: "near" must be one of/],
    ['a file system that is not made', { volume_capabilities: [mountOf('ntfs')] }, 3, /"ntfs".*ext4, ext3, xfs/],
    ['a negative size', { capacity_range: { required_bytes: -1n } }, 3, /required_bytes/],
    ['more than 2^63 bytes', { capacity_range: { required_bytes: 2n ** 63n - 1n } }, 11, /below 2\^63/],
    ['a disk tag that no disk has', { parameters: { diskSelector: 'nvme' } }, 3, /disk tag nvme does not exist/],
  ])('with %s is refused in words', async (_name, change, code, details) => {
    const request = { name: 'refused', volume_capabilities: [RAW], ...change };
    await expect(plugin(0).controller.CreateVolume(request)).rejects.toMatchObject({
      code,
      details: expect.stringMatching(details),
    });
  });

  it('of size 0 gets the least that is made', async () => {
    const request = { name: 'zero', volume_capabilities: [RAW], capacity_range: { required_bytes: 0n } };
    const { volume } = await plugin(0).controller.CreateVolume(request);
    expect(volume?.capacity_bytes).toBe(10n * 2n ** 20n);
    await plugin(0).controller.DeleteVolume({ volume_id: 'zero' });
  });

  it('of 2^60 bytes is made, as disks may come, and is not attached: the refusal says what it lacks', async () => {
    const size = 2n ** 60n;
    const request = { name: 'huge', volume_capabilities: [RAW], capacity_range: { required_bytes: size } };
    const { controller } = plugin(0);
    expect((await controller.CreateVolume(request)).volume?.capacity_bytes).toBe(size);
    const publish = { volume_id: 'huge', node_id: 'node-1', volume_capability: RAW };
    await expect(controller.ControllerPublishVolume(publish)).rejects.toMatchObject({
      details: expect.stringMatching(
        /volume huge is not ready.*a replica has no place: incompatible volume size/,
      ) as string,
    });
    await controller.DeleteVolume({ volume_id: 'huge' });
  });

  it.each(['../up', '..', 'a/../b', '/etc'])('with the id %j is refused by every call', async (id) => {
    const staging = join(folder, 'stage-nothing');
    const capability = mountOf('ext4');
    const { controller, nodeService } = plugin(0);
    const calls: (() => Promise<unknown>)[] = [
      () => controller.ControllerPublishVolume({ volume_id: id, node_id: 'node-1', volume_capability: capability }),
      () => controller.ControllerExpandVolume({ volume_id: id, capacity_range: { required_bytes: 2n ** 21n } }),
      () => nodeService.NodeStageVolume({ volume_id: id, staging_target_path: staging, volume_capability: capability }),
      () => nodeService.NodeGetVolumeStats({ volume_id: id, volume_path: staging }),
    ];
    // 3: InvalidArgument, 5: NotFound
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: expect.toBeOneOf([3, 5]) as number });
    expect(existsSync(staging)).toBe(false);
  });

  it('is not staged at a path that is a file', async () => {
    const capability = mountOf('ext4');
    const id = await createVolume('at-a-file', 64, capability);
    await attach(0, id, capability);
    const path = join(folder, 'a-file');
    writeFileSync(path, 'kept');
    const stage = { volume_id: id, staging_target_path: path, volume_capability: capability };
    await expect(plugin(0).nodeService.NodeStageVolume(stage)).rejects.toMatchObject({
      code: 3,
      details: expect.stringMatching(/staging_target_path .*a-file must be a folder/) as string,
    });
    expect(readFileSync(path, 'utf8')).toBe('kept');
    await remove(0, id);
  });
});
