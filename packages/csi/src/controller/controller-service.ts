/** The Controller service: what it offers, and which work does which call. */
import type {
  ControllerMethods,
  ControllerGetVolumeResponse,
  ListVolumesResponse,
  ValidateVolumeCapabilitiesRequest,
  ValidateVolumeCapabilitiesResponse,
  Volume,
} from '@longhorn/shared-types/generated/csi-v1';
import { ControllerServiceCapability_RPC_Type as Capability } from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import { guarded, type GuardOptions } from '../call/guard.ts';
import type { CallScope } from '../call/scope.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { bytesOf, publishedNodes, volumeCondition, type VolumeResource } from '../api/volume-state.ts';
import { VolumeLifecycle, volumeIdFor } from './create-volume.ts';
import { expandVolume } from './expand.ts';
import { page, type PageRequest } from './paging.ts';
import { Publishing } from './publish.ts';
import { capabilityProblem, invalid, isVolumeId, required } from '../call/request-checks.ts';
import { Snapshots } from './snapshots.ts';
import { availableCapacity } from './topology.ts';

/** What sidecars may call. */
export const CONTROLLER_CAPABILITIES: readonly Capability[] = [
  Capability.CREATE_DELETE_VOLUME,
  Capability.PUBLISH_UNPUBLISH_VOLUME,
  Capability.LIST_VOLUMES,
  Capability.LIST_VOLUMES_PUBLISHED_NODES,
  Capability.GET_CAPACITY,
  Capability.CREATE_DELETE_SNAPSHOT,
  Capability.LIST_SNAPSHOTS,
  Capability.EXPAND_VOLUME,
  Capability.CLONE_VOLUME,
  Capability.VOLUME_CONDITION,
  Capability.GET_VOLUME,
  Capability.SINGLE_NODE_MULTI_WRITER,
];

function volumeMessage(volume: VolumeResource): ProtoInput<Volume> {
  return { volume_id: volume.id, capacity_bytes: bytesOf(volume.size) };
}

function statusOf(volume: VolumeResource) {
  return { published_node_ids: publishedNodes(volume), volume_condition: volumeCondition(volume) };
}

async function findVolume(manager: ManagerClient, id: string, { signal }: CallScope): Promise<VolumeResource> {
  const volume = isVolumeId(id) ? await manager.find('volume', 'volumes', id, signal) : null;
  if (volume === null) throw rpcError(Code.NotFound, `volume ${id} not found`);
  return volume;
}

async function listVolumes(
  manager: ManagerClient,
  request: PageRequest,
  { signal }: CallScope,
): Promise<ProtoInput<ListVolumesResponse>> {
  const all = await manager.list('volume', 'volumes', signal);
  const { items, next_token } = page(
    all.toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    ({ id }) => id,
    request,
  );
  return { entries: items.map((volume) => ({ volume: volumeMessage(volume), status: statusOf(volume) })), next_token };
}

async function validateCapabilities(
  manager: ManagerClient,
  request: ValidateVolumeCapabilitiesRequest,
  scope: CallScope,
): Promise<ProtoInput<ValidateVolumeCapabilitiesResponse>> {
  const id = required(request.volume_id, 'volume id');
  if (request.volume_capabilities.length === 0) throw invalid('Volume Capabilities cannot be empty');
  await findVolume(manager, id, scope);
  const message = request.volume_capabilities.map(capabilityProblem).find((problem) => problem !== null);
  if (message !== undefined && message !== null) return { message };
  const { volume_context, volume_capabilities, parameters } = request;
  return { confirmed: { volume_context, volume_capabilities, parameters } };
}

async function getVolume(
  manager: ManagerClient,
  id: string,
  scope: CallScope,
): Promise<ProtoInput<ControllerGetVolumeResponse>> {
  const volume = await findVolume(manager, required(id, 'volume id'), scope);
  return { volume: volumeMessage(volume), status: statusOf(volume) };
}

export interface ControllerOptions extends GuardOptions {
  readonly manager: ManagerClient;
  readonly driver: string;
}

const nothing = (): null => null;
const byVolume = <Request extends { volume_id: string }>({ volume_id: id }: Request): string => id;

/** All calls of the service. */
export function controllerHandlers(options: ControllerOptions): Partial<ServiceHandlers<ControllerMethods>> {
  const { manager, driver } = options;
  const volumes = new VolumeLifecycle(manager);
  const publishing = new Publishing(manager, driver);
  const snapshots = new Snapshots(manager);
  return {
    CreateVolume: guarded(
      options,
      'CreateVolume',
      ({ name }) => (name === '' ? null : volumeIdFor(name)),
      (request, scope) => volumes.create(request, scope),
    ),
    DeleteVolume: guarded(options, 'DeleteVolume', byVolume, (request, scope) => volumes.delete(request, scope)),
    ControllerPublishVolume: guarded(options, 'ControllerPublishVolume', byVolume, (request, scope) =>
      publishing.publish(request, scope),
    ),
    ControllerUnpublishVolume: guarded(options, 'ControllerUnpublishVolume', byVolume, (request, scope) =>
      publishing.unpublish(request, scope),
    ),
    ValidateVolumeCapabilities: guarded(options, 'ValidateVolumeCapabilities', nothing, (request, scope) =>
      validateCapabilities(manager, request, scope),
    ),
    ListVolumes: guarded(options, 'ListVolumes', nothing, (request, scope) => listVolumes(manager, request, scope)),
    GetCapacity: guarded(options, 'GetCapacity', nothing, async (request, { signal }) => ({
      available_capacity: await availableCapacity(manager, request.parameters, request.accessible_topology, signal),
    })),
    ControllerGetCapabilities: guarded(options, 'ControllerGetCapabilities', nothing, () =>
      Promise.resolve({ capabilities: CONTROLLER_CAPABILITIES.map((type) => ({ rpc: { type } })) }),
    ),
    CreateSnapshot: guarded(
      options,
      'CreateSnapshot',
      ({ name }) => (name === '' ? null : `snapshot ${name}`),
      (request, scope) => snapshots.create(request, scope),
    ),
    DeleteSnapshot: guarded(
      options,
      'DeleteSnapshot',
      ({ snapshot_id: id }) => (id === '' ? null : `snapshot ${id.slice(id.lastIndexOf('/') + 1)}`),
      (request, scope) => snapshots.delete(request, scope),
    ),
    ListSnapshots: guarded(options, 'ListSnapshots', nothing, (request, scope) => snapshots.list(request, scope)),
    ControllerExpandVolume: guarded(options, 'ControllerExpandVolume', byVolume, (request, scope) =>
      expandVolume(manager, request, scope),
    ),
    ControllerGetVolume: guarded(options, 'ControllerGetVolume', nothing, ({ volume_id }, scope) =>
      getVolume(manager, volume_id, scope),
    ),
  };
}
