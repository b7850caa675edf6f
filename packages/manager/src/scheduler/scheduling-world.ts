/** What the scheduler sees: nodes and disks reduced to what decides, and the rules of one volume. */
import type { SpaceLimits } from './storage-check.ts';

export interface CandidateDisk {
  /** Key in the node's spec. */
  name: string;
  uuid: string;
  path: string;
  tags: readonly string[];
  filesystemType: string;
  isFilesystem: boolean;
  allowScheduling: boolean;
  evictionRequested: boolean;
  ready: boolean;
  schedulable: boolean;
  /** Reason of a disk that is not schedulable. */
  unschedulableReason: string;
  maximumBytes: number;
  availableBytes: number;
  reservedBytes: number;
  /** All replicas that are to live on it, the newest known. */
  scheduledBytes: number;
}

export interface CandidateNode {
  name: string;
  zone: string;
  tags: readonly string[];
  deleting: boolean;
  ready: boolean;
  schedulable: boolean;
  allowScheduling: boolean;
  evictionRequested: boolean;
  instanceManagerReady: boolean;
  /** By engine image name. */
  imagesReady: readonly string[];
  disks: readonly CandidateDisk[];
}

/** A replica of the volume, as far as it keeps others away from a place. */
export interface PlacedReplica {
  name: string;
  nodeId: string;
  diskId: string;
  sizeBytes: number;
  failed: boolean;
  deleting: boolean;
  evicting: boolean;
  /** Failed, and its data may be used again. */
  reusable: boolean;
  active: boolean;
}

export interface PlacementRules {
  sizeBytes: number;
  /** What the volume holds now: a rebuild writes that much. */
  actualBytes: number;
  imageName: string;
  diskSelector: readonly string[];
  nodeSelector: readonly string[];
  allowEmptyDiskSelector: boolean;
  allowEmptyNodeSelector: boolean;
  nodeSoft: boolean;
  zoneSoft: boolean;
  diskSoft: boolean;
  /** Replicas may go where this volume has one already, to balance. */
  balancesBestEffort: boolean;
  space: SpaceLimits;
}
