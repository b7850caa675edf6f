/** The service `imrpc.ProxyEngineService`: one call of the manager is a call or a flow on an engine and its replicas. */
import type { ProxyEngineServiceMethods } from '@longhorn/shared-types/generated/imrpc';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ServiceHandlers } from '@longhorn/shared-types/grpc/server';
import type { ProxyContext } from './proxy-engine.ts';
import { proxyReplica } from './proxy-replica.ts';
import { proxySnapshot } from './proxy-snapshot.ts';
import { proxyVolume } from './proxy-volume.ts';

function refuse(text: string): () => never {
  return () => {
    throw rpcError(Code.Unimplemented, text);
  };
}

const BACKUP = 'is not supported: this version has no backup and restore';
const SPDK = 'is not supported: this instance manager serves the v1 data engine only';

export function proxyService(context: ProxyContext): ServiceHandlers<ProxyEngineServiceMethods> {
  return {
    ...proxyVolume(context),
    ...proxySnapshot(context),
    ...proxyReplica(context),
    SnapshotBackup: refuse(`SnapshotBackup ${BACKUP}`),
    SnapshotBackupStatus: refuse(`SnapshotBackupStatus ${BACKUP}`),
    BackupRestore: refuse(`BackupRestore ${BACKUP}`),
    BackupRestoreStatus: refuse(`BackupRestoreStatus ${BACKUP}`),
    BackupRestoreFinish: refuse('method BackupRestoreFinish not implemented'),
    CleanupBackupMountPoints: refuse(`CleanupBackupMountPoints ${BACKUP}`),
    SPDKBackingImageCreate: refuse(`SPDKBackingImageCreate ${SPDK}`),
    SPDKBackingImageDelete: refuse(`SPDKBackingImageDelete ${SPDK}`),
    SPDKBackingImageGet: refuse(`SPDKBackingImageGet ${SPDK}`),
    SPDKBackingImageList: refuse(`SPDKBackingImageList ${SPDK}`),
    SPDKBackingImageWatch: refuse(`SPDKBackingImageWatch ${SPDK}`),
  };
}
