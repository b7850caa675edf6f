/** Entry of the client side of the engine: the flows that drive engines and replicas. */
export {
  controllerOf,
  getReplica,
  listReplicas,
  modeName,
  replicaOf,
  syncAgentAddress,
  syncAgentOf,
  type EngineFlow,
  type ListedReplica,
} from './flow.ts';
export {
  addReplica,
  addRestoreReplica,
  changeRebuilds,
  rebuildingStatus,
  verifyRebuild,
  type ReplicaAddition,
} from './rebuild.ts';
export {
  listSnapshots,
  purgeSnapshots,
  purgeStatus,
  removeSnapshots,
  snapshotsOf,
  type SnapshotInfo,
} from './snapshot.ts';
export { dataSocketFolder, dataSocketPath } from '../replica/data-socket-path.ts';
export { cloneSnapshot, cloneStatus, type CloneRequest } from './clone.ts';
export { cancelHash, hashSnapshot, hashStatus } from './hash.ts';
export { snapshotDisk, snapshotNameOf, VOLUME_HEAD } from './disk-names.ts';
export { FILE_SYNC_HTTP_TIMEOUT_S } from './limits.ts';
