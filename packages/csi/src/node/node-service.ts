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
import { Code, errorText, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { guarded, type GuardOptions } from '../call/guard.ts';
import type { CallScope } from '../call/scope.ts';
import { readMkfsArguments } from '../controller/parameters.ts';
import { checkCapability, fileSystemOf, required, requiredPath, requiredVolumeId } from '../call/request-checks.ts';
import { hostnameOf, TOPOLOGY_KEY } from '../controller/topology.ts';
import { VOLUMES_PER_NODE_MAX } from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { bindDevice, checkAloneAsDevice, stagedFile } from './block.ts';
import { expandOnNode } from './expand.ts';
import { isStaged, publishFileSystem, stageFileSystem } from './filesystem.ts';
import { removeMountPoint } from './mount-point.ts';
import { mountAt } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';
import { volumeStats } from './stats.ts';
import { unstage } from './unstage.ts';
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
  /** of the pod that waits for it; null while none does */
  readonly targetPath: string | null;
}

/** Stages the device as the capability says; what is staged so already stays. */
async function stage(
  { host, stateFolder }: NodeOptions,
  { volume, device, stagingPath, capability, context, targetPath }: Staging,
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
      targetPath,
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
  const staging = { volume: id, device, stagingPath, capability, context: request.volume_context, targetPath: null };
  await stage(options, staging, scope);
  return {};
}

async function unstageVolume(
  { host }: NodeOptions,
  request: { staging_target_path: string; volume_id: string },
  scope: CallScope,
): Promise<Record<never, never>> {
  const stagingPath = requiredPath(request.staging_target_path, 'staging_target_path', 'staging target path');
  const volume = requiredVolumeId(request.volume_id);
  await unstage(host, { volume, stagingPath }, scope);
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
  const staging = { volume: id, device, stagingPath, capability, context: request.volume_context, targetPath };
  const isExclusive = capability.access_mode?.mode === Mode.SINGLE_NODE_SINGLE_WRITER;
  if (capability.mount === null) {
    const staged = stagedFile(stagingPath, id);
    if (isExclusive) await checkAloneAsDevice(host, { volume: id, device, staged, targetPath });
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

/**
 * What topologies call this node. It is asked for once: a kubelet that was restarted must get its plugin back also while
 * the manager is away, and then the name is right on most nodes (where it is not, the kubelet refuses it and asks again).
 */
function hostnameReader({ manager, nodeId }: NodeOptions): (scope: CallScope) => Promise<string> {
  let known: string | null = null;
  return async ({ signal, warn }) => {
    if (known !== null) return known;
    try {
      const node = await manager.find('node', 'nodes', nodeId, signal);
      if (node !== null) known = hostnameOf(node);
    } catch (error) {
      signal.throwIfAborted();
      warn(`node ${nodeId} is taken to have its name as its label ${TOPOLOGY_KEY}: ${errorText(error)}`);
    }
    return known ?? nodeId;
  };
}

async function nodeInfo({ host, nodeId }: NodeOptions, hostname: string) {
  const loops = await host.loopDevices();
  return {
    node_id: nodeId,
    max_volumes_per_node: Math.max(1, Math.min(VOLUMES_PER_NODE_MAX, loops ?? VOLUMES_PER_NODE_MAX)),
    accessible_topology: { segments: { [TOPOLOGY_KEY]: hostname } },
  };
}

const nothing = (): null => null;
const byVolume = <Request extends { volume_id: string }>({ volume_id: id }: Request): string => id;

/** All calls of the service. */
export function nodeHandlers(options: NodeOptions): ServiceHandlers<NodeMethods> {
  const hostname = hostnameReader(options);
  return {
    NodeStageVolume: guarded(options, 'NodeStageVolume', byVolume, (request, scope) =>
      stageVolume(options, request, scope),
    ),
    NodeUnstageVolume: guarded(options, 'NodeUnstageVolume', byVolume, (request, scope) =>
      unstageVolume(options, request, scope),
    ),
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
    NodeGetInfo: guarded(options, 'NodeGetInfo', nothing, async (_request, scope) =>
      nodeInfo(options, await hostname(scope)),
    ),
  };
}
