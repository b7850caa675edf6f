/** The service `imrpc.DiskService`. Filesystem disks are the manager's affair, and block disks belong to v2. */
import { DiskType, type DiskServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import { DISK_SERVICE_API_MIN_VERSION, DISK_SERVICE_API_VERSION, VERSION } from '../version.ts';

function refuse(present: boolean, missing: string, type: DiskType): never {
  if (!present) throw rpcError(Code.InvalidArgument, missing);
  const name = Object.entries(DiskType).find(([, number]) => number === type)?.[0] ?? String(type);
  throw rpcError(Code.Unimplemented, `unsupported disk type ${name}`);
}

const NAME_REQUIRED = 'disk name is required';

export function diskService(): ServiceHandlers<DiskServiceMethods> {
  return {
    DiskCreate: (request) =>
      refuse(
        request.disk_name !== '' && request.disk_path !== '',
        'disk name and disk path are required',
        request.disk_type,
      ),
    DiskDelete: (request) => refuse(request.disk_name !== '', NAME_REQUIRED, request.disk_type),
    DiskGet: (request) => refuse(request.disk_name !== '', NAME_REQUIRED, request.disk_type),
    DiskReplicaInstanceList: (request) => refuse(request.disk_name !== '', NAME_REQUIRED, request.disk_type),
    DiskReplicaInstanceDelete: (request) =>
      refuse(
        request.disk_name !== '' && request.disk_uuid !== '' && request.replcia_instance_name !== '',
        'disk name, disk UUID and replica instance name are required',
        request.disk_type,
      ),
    MetricsGet: (request) => refuse(request.disk_name !== '', NAME_REQUIRED, request.disk_type),
    VersionGet: () => ({
      version: VERSION,
      instanceManagerDiskServiceAPIVersion: DISK_SERVICE_API_VERSION,
      instanceManagerDiskServiceAPIMinVersion: DISK_SERVICE_API_MIN_VERSION,
    }),
  };
}
