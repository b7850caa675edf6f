/** What a new volume starts from: a snapshot or another volume. */
import type { VolumeContentSource } from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { CallScope } from '../call/scope.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { decodeResource } from '../api/rest-decoder.ts';
import { bytesOf, type VolumeResource } from '../api/volume-state.ts';
import { ManagerFault } from '../api/manager-fault.ts';
import { invalid, isVolumeId } from '../call/request-checks.ts';
import { decodeHandle } from './snapshot-handle.ts';

export interface Source {
  /** as the manager writes it: `vol://V` or `snap://V/S` */
  readonly dataSource: string;
  /** smallest volume that takes its content */
  readonly sizeBytes: bigint;
}

async function sourceVolume(manager: ManagerClient, id: string, signal: AbortSignal): Promise<VolumeResource | null> {
  return isVolumeId(id) ? manager.find('volume', 'volumes', id, signal) : null;
}

async function snapshotSource(manager: ManagerClient, handle: string, scope: CallScope): Promise<Source> {
  const missing = rpcError(Code.NotFound, `volume source snapshot ${handle} is not found`);
  const decoded = decodeHandle(handle);
  if (decoded.kind === 'unknown') throw missing;
  if (decoded.kind !== 'snap') {
    throw rpcError(
      Code.FailedPrecondition,
      `volume source snapshot ${handle} is of type ${decoded.kind}, which is not supported yet: use a snapshot of type snap`,
    );
  }
  const volume = await sourceVolume(manager, decoded.volume, scope.signal);
  if (volume === null) throw missing;
  let snapshot;
  try {
    const input = { name: decoded.snapshot };
    const answer = await manager.act(volume, 'snapshotCRGet', input, { repeatable: true, signal: scope.signal });
    snapshot = decodeResource('snapshotCR', answer);
  } catch (error) {
    if (error instanceof ManagerFault && error.status === 404) throw missing;
    throw error;
  }
  if (!snapshot.readyToUse) {
    throw rpcError(Code.Aborted, `volume source snapshot ${handle} is not ready to use: ${snapshot.error ?? ''}`);
  }
  return { dataSource: handle, sizeBytes: BigInt(snapshot.restoreSize) };
}

/** The source as the manager writes it; '' for none. */
export function dataSourceOf(source: VolumeContentSource | null): string {
  if (source === null) return '';
  if (source.snapshot !== null) return source.snapshot.snapshot_id;
  return source.volume === null ? '' : `vol://${source.volume.volume_id}`;
}

/** Looks the source up; null when there is none. Throws when it cannot be had. */
export async function findSource(
  manager: ManagerClient,
  source: VolumeContentSource | null,
  scope: CallScope,
): Promise<Source | null> {
  if (source === null) return null;
  if (source.snapshot !== null) {
    if (source.snapshot.snapshot_id === '')
      throw invalid('volume_content_source.snapshot.snapshot_id missing in request');
    return snapshotSource(manager, source.snapshot.snapshot_id, scope);
  }
  if (source.volume === null) throw invalid('volume_content_source must have a snapshot or a volume');
  const id = source.volume.volume_id;
  if (id === '') throw invalid('volume_content_source.volume.volume_id missing in request');
  const volume = await sourceVolume(manager, id, scope.signal);
  if (volume === null) throw rpcError(Code.NotFound, `failed to clone volume: source volume ${id} is not found`);
  return { dataSource: `vol://${id}`, sizeBytes: bytesOf(volume.size) };
}
