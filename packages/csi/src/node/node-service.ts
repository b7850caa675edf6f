/** The Node service: what it offers, and which work does which call. */
import type {
  NodeMethods,
  NodePublishVolumeRequest,
  NodeStageVolumeRequest,
  VolumeCapability,
} from '@longhorn/shared-types/generated/csi-v1';
import {
  NodeServiceCapability_RPC_Type as Capability,
  VolumeCapability_AccessMode_Mode as Mode,
} from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { guarded, type GuardOptions } from '../call/guard.ts';
import type { CallScope } from '../call/scope.ts';
import { readMkfsArguments } from '../controller/parameters.ts';
import { checkCapability, fileSystemOf, required, requiredPath, requiredVolumeId } from '../call/request-checks.ts';
import { TOPOLOGY_KEY } from '../controller/topology.ts';
import { VOLUMES_PER_NODE_MAX } from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { bindDevice, checkAloneAsDevice, stagedFile } from './block.ts';
import { expandOnNode } from './expand.ts';
import { isStaged, publishFileSystem, stageFileSystem } from './filesystem.ts';
import { removeMountPoint, unmountAll } from './mount-point.ts';
import { mountAt } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';
import { volumeStats } from './stats.ts';
import { checkWorkloads, findVolume, usableDevice } from './usable-volume.ts';

export interface NodeOptions extends GuardOptions {
  readonly manager: ManagerClient;
  readonly host: NodeHost;
  readonly nodeId: string;
  readonly stateFolder: string;
}

const CAPABILITIES: readonly Capability[] = [
  Capability.STAGE_UNSTAGE_VOLUME,
  Capability.GET_VOLUME_STATS,
  Capability.EXPAND_VOLUME,
  Capability.VOLUME_CONDITION,
  Capability.SINGLE_NODE_MULTI_WRITER,
];

interface Staging {
  readonly volume: string;
  readonly device: string;
  readonly stagingPath: string;
  readonly capability: VolumeCapability;
  readonly context: Readonly<Record<string, string>>;
}

/** Stages the device as the capability says; what is staged so already stays. */
async function stage(
  { host, stateFolder }: NodeOptions,
  { volume, device, stagingPath, capability, context }: Staging,
  { warn }: CallScope,
): Promise<void> {
  const fileSystem = fileSystemOf(capability);
  const file = stagedFile(stagingPath, volume);
  if (fileSystem === null) {
    if ((await mountAt(host, stagingPath)) !== null) {
      throw rpcError(Code.AlreadyExists, `volume ${volume} is staged at ${stagingPath} with a file system`);
    }
    await bindDevice(host, device, file, 'staging_target_path');
    return;
  }
  if ((await mountAt(host, file)) !== null) {
    throw rpcError(Code.AlreadyExists, `volume ${volume} is staged at ${stagingPath} as a block device`);
  }
  await stageFileSystem(
    { host, stateFolder, warn },
    {
      volume,
      device,
      stagingPath,
      fileSystem,
      mountFlags: capability.mount?.mount_flags ?? [],
      mkfs: readMkfsArguments(context['mkfsParams'] ?? ''),
    },
  );
}

async function stageVolume(
  options: NodeOptions,
  request: NodeStageVolumeRequest,
  scope: CallScope,
): Promise<Record<never, never>> {
  const stagingPath = requiredPath(request.staging_target_path, 'staging_target_path', 'staging target path');
  const capability = required(request.volume_capability, 'volume capability');
  const id = requiredVolumeId(request.volume_id);
  checkCapability(capability);
  const volume = await findVolume(options.manager, id, scope.signal);
  const device = usableDevice(volume, options.nodeId);
  await stage(options, { volume: id, device, stagingPath, capability, context: request.volume_context }, scope);
  return {};
}

async function unstageVolume(
  { host }: NodeOptions,
  request: { staging_target_path: string; volume_id: string },
): Promise<Record<never, never>> {
  const path = requiredPath(request.staging_target_path, 'staging_target_path', 'staging target path');
  const id = requiredVolumeId(request.volume_id);
  await unmountAll(host, path);
  await removeMountPoint(host, stagedFile(path, id));
  return {};
}

async function publishVolume(
  options: NodeOptions,
  request: NodePublishVolumeRequest,
  scope: CallScope,
): Promise<Record<never, never>> {
  const { host } = options;
  const targetPath = requiredPath(request.target_path, 'target_path', 'target path');
  const stagingPath = requiredPath(request.staging_target_path, 'staging_target_path', 'staging target path');
  const capability = required(request.volume_capability, 'volume capability');
  const id = requiredVolumeId(request.volume_id);
  checkCapability(capability);
  const volume = await findVolume(options.manager, id, scope.signal);
  const device = usableDevice(volume, options.nodeId);
  checkWorkloads(volume);
  const staging = { volume: id, device, stagingPath, capability, context: request.volume_context };
  const isExclusive = capability.access_mode?.mode === Mode.SINGLE_NODE_SINGLE_WRITER;
  if (capability.mount === null) {
    const staged = stagedFile(stagingPath, id);
    if (isExclusive) await checkAloneAsDevice(host, { volume: id, device, allowed: [staged, targetPath] });
    // The device may be another one since it was staged: after a crash of the engine, or a restart of the node.
    await stage(options, staging, scope);
    await bindDevice(host, staged, targetPath, 'target_path');
    return {};
  }
  if (!(await isStaged(host, device, stagingPath))) await stage(options, staging, scope);
  const { mount_flags: mountFlags } = capability.mount;
  const isReadOnly = request.readonly;
  await publishFileSystem(host, { volume: id, device, stagingPath, targetPath, isReadOnly, mountFlags, isExclusive });
  return {};
}

async function unpublishVolume(
  { host }: NodeOptions,
  request: { target_path: string; volume_id: string },
): Promise<Record<never, never>> {
  const path = requiredPath(request.target_path, 'target_path', 'target path');
  requiredVolumeId(request.volume_id);
  await removeMountPoint(host, path);
  return {};
}

async function nodeInfo({ host, nodeId }: NodeOptions) {
  const loops = await host.loopDevices();
  return {
    node_id: nodeId,
    max_volumes_per_node: Math.max(1, Math.min(VOLUMES_PER_NODE_MAX, loops ?? VOLUMES_PER_NODE_MAX)),
    accessible_topology: { segments: { [TOPOLOGY_KEY]: nodeId } },
  };
}

const nothing = (): null => null;
const byVolume = <Request extends { volume_id: string }>({ volume_id: id }: Request): string => id;

/** All calls of the service. */
export function nodeHandlers(options: NodeOptions): ServiceHandlers<NodeMethods> {
  return {
    NodeStageVolume: guarded(options, 'NodeStageVolume', byVolume, (request, scope) =>
      stageVolume(options, request, scope),
    ),
    NodeUnstageVolume: guarded(options, 'NodeUnstageVolume', byVolume, (request) => unstageVolume(options, request)),
    NodePublishVolume: guarded(options, 'NodePublishVolume', byVolume, (request, scope) =>
      publishVolume(options, request, scope),
    ),
    NodeUnpublishVolume: guarded(options, 'NodeUnpublishVolume', byVolume, (request) =>
      unpublishVolume(options, request),
    ),
    NodeGetVolumeStats: guarded(options, 'NodeGetVolumeStats', nothing, (request, scope) =>
      volumeStats(options, request, scope),
    ),
    NodeExpandVolume: guarded(options, 'NodeExpandVolume', byVolume, (request, scope) =>
      expandOnNode(options, request, scope),
    ),
    NodeGetCapabilities: guarded(options, 'NodeGetCapabilities', nothing, () =>
      Promise.resolve({ capabilities: CAPABILITIES.map((type) => ({ rpc: { type } })) }),
    ),
    NodeGetInfo: guarded(options, 'NodeGetInfo', nothing, () => nodeInfo(options)),
  };
}
