/** NodeGetVolumeStats: how full a volume is where a pod sees it, and whether something is wrong with it. */
import { statfs } from 'node:fs/promises';
import type { NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse } from '@longhorn/shared-types/generated/csi-v1';
import { VolumeUsage_Unit as Unit } from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import type { CallScope } from '../call/scope.ts';
import { required } from '../call/request-checks.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { bytesOf, volumeCondition, type VolumeResource } from '../api/volume-state.ts';
import { mountProblem } from './mount-health.ts';
import { kindOf } from './mount-point.ts';
import { mountAt } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';
import { findVolume } from './usable-volume.ts';

const totalOf = (volume: VolumeResource): { unit: Unit; total: bigint } => ({
  unit: Unit.BYTES,
  total: bytesOf(volume.size),
});

export async function volumeStats(
  { manager, host }: { manager: ManagerClient; host: NodeHost },
  request: NodeGetVolumeStatsRequest,
  { signal }: CallScope,
): Promise<ProtoInput<NodeGetVolumeStatsResponse>> {
  const path = required(request.volume_path, 'volume path');
  const id = required(request.volume_id, 'volume id');
  const volume = await findVolume(manager, id, signal);
  const mount = await mountAt(host, path);
  if (mount === null || (await kindOf(path)) === 'nothing') {
    throw rpcError(Code.NotFound, `volume ${id} is not mounted on path ${path}`);
  }
  const problem = await mountProblem(host, mount);
  if (problem !== null) {
    const message = `the file system of volume ${id} has failed: ${problem}: restart its pods`;
    return { usage: [totalOf(volume)], volume_condition: { abnormal: true, message } };
  }
  if ((await host.deviceNumber(path)) !== null) {
    return { usage: [totalOf(volume)], volume_condition: volumeCondition(volume) };
  }
  const { bsize, blocks, bfree, bavail, files, ffree } = await statfs(path, { bigint: true });
  return {
    usage: [
      { unit: Unit.BYTES, available: bavail * bsize, total: blocks * bsize, used: (blocks - bfree) * bsize },
      { unit: Unit.INODES, available: ffree, total: files, used: files - ffree },
    ],
    volume_condition: volumeCondition(volume),
  };
}
