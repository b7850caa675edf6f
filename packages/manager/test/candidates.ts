/** Nodes and disks as the scheduler sees them, for tests: all is well with them but for what a test changes. */
import type { CandidateDisk, CandidateNode } from '../src/scheduler/scheduling-world.ts';

const GIB = 2 ** 30;

/** A disk of 100 GiB at `/UUID`, of that name. */
export function candidateDisk(uuid: string, changes: Partial<CandidateDisk> = {}): CandidateDisk {
  return {
    name: uuid,
    uuid,
    path: `/${uuid}`,
    tags: [],
    filesystemType: 'ext4',
    isFilesystem: true,
    allowScheduling: true,
    evictionRequested: false,
    ready: true,
    schedulable: true,
    unschedulableReason: '',
    maximumBytes: 100 * GIB,
    availableBytes: 80 * GIB,
    reservedBytes: 0,
    scheduledBytes: 0,
    ...changes,
  };
}

/** Without disks and images. */
export function candidateNode(name: string, changes: Partial<CandidateNode> = {}): CandidateNode {
  return {
    name,
    zone: '',
    tags: [],
    deleting: false,
    ready: true,
    schedulable: true,
    allowScheduling: true,
    evictionRequested: false,
    instanceManagerReady: true,
    imagesReady: [],
    disks: [],
    ...changes,
  };
}
