/** Whether a volume can be used on this node now, and under which device. */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { isVolumeId } from '../call/request-checks.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { blockers, type VolumeResource } from '../api/volume-state.ts';

/** Reads the volume; NotFound when there is none. */
export async function findVolume(manager: ManagerClient, id: string, signal: AbortSignal): Promise<VolumeResource> {
  const volume = isVolumeId(id) ? await manager.find('volume', 'volumes', id, signal) : null;
  if (volume === null) throw rpcError(Code.NotFound, `volume ${id} not found`);
  return volume;
}

/** What no node can use. */
function checkUsable(volume: VolumeResource): void {
  const { id } = volume;
  if (volume.disableFrontend) throw rpcError(Code.InvalidArgument, `volume ${id} frontend is disabled`);
  if (!['blockdev', 'ublk'].includes(volume.frontend)) {
    throw rpcError(
      Code.InvalidArgument,
      `volume ${id} has invalid frontend type ${volume.frontend}: it must be blockdev`,
    );
  }
  if (volume.encrypted)
    throw rpcError(Code.FailedPrecondition, `volume ${id} is encrypted, which is not supported yet`);
  if (volume.accessMode === 'rwx') {
    throw rpcError(Code.FailedPrecondition, `volume ${id} is for many nodes (rwx), which is not supported yet`);
  }
}

/** The volume's device on this node; null while it is not attached here. */
export function deviceOn(volume: VolumeResource, node: string): string | null {
  if (volume.state !== 'attached') return null;
  const endpoint = volume.controllers.find(({ hostId }) => hostId === node)?.endpoint ?? '';
  if (endpoint === '') return null;
  if (endpoint.startsWith('/dev/')) return endpoint;
  throw rpcError(
    Code.FailedPrecondition,
    `volume ${volume.id} is at ${endpoint}, which is no block device: node ${node} needs /dev/fuse and loop devices`,
  );
}

/** The device of a volume that a workload may use now. */
export function usableDevice(volume: VolumeResource, node: string): string {
  checkUsable(volume);
  const { id } = volume;
  const device = deviceOn(volume, node);
  if (device === null) {
    const elsewhere = volume.controllers.find(({ hostId, endpoint }) => endpoint !== '' && hostId !== node);
    const where = elsewhere === undefined ? `it is ${volume.state}` : `it is attached to node ${elsewhere.hostId}`;
    throw rpcError(Code.InvalidArgument, `volume ${id} hasn't been attached yet to node ${node}: ${where}`);
  }
  if (!volume.ready) {
    throw rpcError(Code.Aborted, `volume ${id} is not ready for workloads: ${blockers(volume)}`);
  }
  return device;
}

/**
 * Refuses a mount that no pod waits for: pods that were told to go must not get a volume that was just taken from
 * them. Pods that have ended do not count.
 */
export function checkWorkloads(volume: VolumeResource): void {
  const states = volume.kubernetesStatus.workloadsStatus
    .map(({ podName, podStatus }): [string, string] => [podName, podStatus])
    .filter(([, status]) => status !== 'Succeeded' && status !== 'Failed');
  if (states.some(([, status]) => status === 'Pending') || states.every(([, status]) => status === 'Running')) return;
  const shown = states.map(([pod, status]) => `${pod}: ${status}`).join(', ');
  throw rpcError(Code.Aborted, `no Pending workload pods for volume ${volume.id} to be mounted: ${shown}`);
}
