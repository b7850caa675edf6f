/** NodeExpandVolume: lets the mounted file system take all of its grown device. */
import type { NodeExpandVolumeRequest, NodeExpandVolumeResponse } from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import { waitUntil, type CallScope } from '../call/scope.ts';
import { checkCapability, required } from '../call/request-checks.ts';
import { STATE_TIMEOUT_MS } from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { stagedFile } from './block.ts';
import { deviceBytes, growToDevice } from './format.ts';
import { mountAt, type Mount } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';
import { deviceOn, findVolume } from './usable-volume.ts';

export interface ExpandOptions {
  readonly manager: ManagerClient;
  readonly host: NodeHost;
  readonly nodeId: string;
}

/** The volume's file system where the caller says it is; null when it is a raw device. */
async function mountOf(host: NodeHost, { volume_id: id, ...paths }: NodeExpandVolumeRequest): Promise<Mount | null> {
  const { volume_path: volumePath, staging_target_path: stagingPath } = paths;
  if ((await host.deviceNumber(volumePath)) !== null) return null;
  if (stagingPath !== '' && (await host.deviceNumber(stagedFile(stagingPath, id))) !== null) return null;
  const mount = (await mountAt(host, volumePath)) ?? (stagingPath === '' ? null : await mountAt(host, stagingPath));
  if (mount === null) throw rpcError(Code.NotFound, `volume ${id} is not mounted on path ${volumePath}`);
  return mount;
}

export async function expandOnNode(
  { manager, host, nodeId }: ExpandOptions,
  request: NodeExpandVolumeRequest,
  scope: CallScope,
): Promise<ProtoInput<NodeExpandVolumeResponse>> {
  const id = required(request.volume_id, 'volume id');
  required(request.volume_path, 'volume path');
  if (request.volume_capability !== null) checkCapability(request.volume_capability);
  const volume = await findVolume(manager, id, scope.signal);
  const device = deviceOn(volume, nodeId);
  if (device === null) {
    throw rpcError(Code.FailedPrecondition, `invalid state ${volume.state} for volume ${id} node expansion`);
  }
  const wanted = request.capacity_range?.required_bytes ?? 0n;
  const size = await waitUntil(
    scope,
    STATE_TIMEOUT_MS,
    `device ${device} has not grown to ${wanted} bytes`,
    async () => {
      const bytes = await deviceBytes(host, device);
      return bytes >= wanted ? { done: true, value: bytes } : { done: false, waitingFor: `it has ${bytes}` };
    },
  );
  const mount = request.volume_capability?.block ? null : await mountOf(host, request);
  // A file system that is read-only as a whole grows when it is mounted for writing.
  if (mount !== null && !mount.superOptions.includes('ro')) {
    if (mount.device !== (await host.deviceNumber(device))) {
      throw rpcError(Code.FailedPrecondition, `${mount.path} is not on the present device ${device}: stage it again`);
    }
    if (!(await growToDevice(host, device, mount.fsType, mount.path))) {
      throw rpcError(
        Code.FailedPrecondition,
        `node ${nodeId} may not grow the mounted ${mount.fsType} file system of volume ${id} (it lacks CAP_SYS_RESOURCE): it grows when the volume is mounted next`,
      );
    }
  }
  return { capacity_bytes: size };
}
