/** ControllerExpandVolume: online and offline; the file system grows on the node. */
import type {
  ControllerExpandVolumeRequest,
  ControllerExpandVolumeResponse,
} from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import { waitUntil, type CallScope } from '../call/scope.ts';
import { LEAVING_PATIENCE_MS, STATE_TIMEOUT_MS } from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { blockers, bytesOf, type VolumeResource } from '../api/volume-state.ts';
import { checkCapability, isVolumeId, required, sizeFor } from '../call/request-checks.ts';

/** The volume, attached or detached: one that has just been made, or is on its way, is so in a moment. */
function settled(id: string, find: () => Promise<VolumeResource | null>, scope: CallScope): Promise<VolumeResource> {
  return waitUntil(scope, STATE_TIMEOUT_MS, `volume ${id} cannot be expanded`, async (elapsedMs) => {
    const volume = await find();
    if (volume === null) throw rpcError(Code.NotFound, `volume ${id} missing`);
    if (volume.state === 'detached' || volume.state === 'attached') return { done: true, value: volume };
    if (elapsedMs >= LEAVING_PATIENCE_MS || volume.state === 'deleting') {
      throw rpcError(
        Code.FailedPrecondition,
        `volume ${id} invalid state ${volume.state} for controller volume expansion: it must be attached or detached`,
      );
    }
    return { done: false, waitingFor: `it is ${volume.state}` };
  });
}

/** Ends when the volume, and its device if it has one, have the size. A smaller size than the present one is done already. */
export async function expandVolume(
  manager: ManagerClient,
  request: ControllerExpandVolumeRequest,
  scope: CallScope,
): Promise<ProtoInput<ControllerExpandVolumeResponse>> {
  const id = required(request.volume_id, 'volume id');
  const range = required(request.capacity_range, 'capacity range');
  const capability = request.volume_capability;
  if (capability !== null) checkCapability(capability);
  const { sizeBytes, limitBytes } = sizeFor(range);
  const find = () => (isVolumeId(id) ? manager.find('volume', 'volumes', id, scope.signal) : Promise.resolve(null));
  const volume = await settled(id, find, scope);
  const before = bytesOf(volume.size);
  if (limitBytes !== 0n && before > limitBytes) {
    throw rpcError(Code.OutOfRange, `volume ${id} has ${before} bytes already, more than limit_bytes ${limitBytes}`);
  }
  const isAttached = volume.state === 'attached';
  if (sizeBytes > before) {
    await manager.act(volume, 'expand', { size: String(sizeBytes) }, { repeatable: true, signal: scope.signal });
  }
  const failure = `volume ${id} expansion from existing capacity ${before} to requested capacity ${sizeBytes} failed`;
  const size = await waitUntil(scope, STATE_TIMEOUT_MS, failure, async () => {
    const present = await find();
    if (present === null) throw rpcError(Code.NotFound, `volume ${id} missing`);
    const why = [blockers(present), ...present.controllers.map((engine) => engine.lastExpansionError)]
      .filter((text) => text !== '')
      .join('; ');
    if (bytesOf(present.size) < sizeBytes) return { done: false, waitingFor: `it has ${present.size} bytes; ${why}` };
    // One that never ran is made in the new size; any other grows in the engine, for which it is attached if it is not.
    const engine = present.controllers.find(({ size: engineSize }) => bytesOf(engineSize) > 0n);
    if (engine !== undefined && (bytesOf(engine.size) < sizeBytes || engine.isExpanding)) {
      return { done: false, waitingFor: `its engine has ${engine.size} bytes; ${why}` };
    }
    return { done: true, value: bytesOf(present.size) };
  });
  // A caller that does not say how it uses the volume may have a file system on it.
  return { capacity_bytes: size, node_expansion_required: isAttached && (capability?.block ?? null) === null };
}
