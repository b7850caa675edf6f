/** Every maximum and interval of the plugin, with the relations between them. */
import { strict as assert } from 'node:assert';

export const MIB_BYTES = 1_048_576n;

/** Smallest volume that is made. */
export const VOLUME_SIZE_BYTES_MIN = 10n * MIB_BYTES;
/** What mkfs.xfs needs. */
export const XFS_SIZE_BYTES_MIN = 300n * MIB_BYTES;

/** What a sidecar waits for an answer; the kubelet waits 120 s. */
const CALLER_TIMEOUT_MS = 110_000;
/** No call is answered later than this, whatever still runs for it. */
export const CALL_TIMEOUT_MS = 105_000;
/** How long a call waits for the manager to bring a volume or snapshot into the wanted state. */
export const STATE_TIMEOUT_MS = 90_000;
/** Between two looks at an object that is waited for: short at first, so that a quick change is seen at once. */
export const POLL_FIRST_MS = 100;
export const POLL_LAST_MS = 400;
/** Deleting a snapshot waits this long for the manager to note it; then it is the manager's to finish. */
export const SNAPSHOT_REMOVAL_NOTED_MS = 20_000;
/** A volume held elsewhere is given this long to be let go before the call fails with the holder's name. */
export const HELD_ELSEWHERE_PATIENCE_MS = 5_000;
/** A volume that leaves another node is given this long to be free before the call fails. */
export const LEAVING_PATIENCE_MS = 15_000;
/** A volume whose engine does not grow yet is given this long to begin; it is used as it is then, and grows later. */
export const GROWTH_PATIENCE_MS = 15_000;
/** A copy of another volume is waited for this long before the call fails and comes again. */
export const COPY_PATIENCE_MS = 60_000;

/** One HTTP call. */
export const HTTP_TIMEOUT_MS = 30_000;
export const HTTP_ATTEMPTS_MAX = 3;
export const HTTP_RETRY_PAUSE_MS = 300;
export const HTTP_ANSWER_BYTES_MAX = 256 * 1024 * 1024;
/** At the start: the manager may come later than the plugin. */
export const START_ATTEMPTS_MAX = 18;
export const START_ATTEMPT_TIMEOUT_MS = 10_000;
export const START_PAUSE_MS = 1_000;

/** Volumes whose snapshots are asked for at the same time. */
export const SNAPSHOT_LISTS_AT_ONCE = 8;

/** Calls in progress, each holding one lock. */
export const LOCKS_MAX = 2_000;

/** Commands of the node. mkfs, fsck and umount go on after their call was answered; their volume stays locked meanwhile. */
export const COMMAND_TIMEOUT_MS = 30_000;
export const MOUNT_TIMEOUT_MS = 100_000;
export const FORMAT_TIMEOUT_MS = 30 * 60_000;
/** umount ends when all that was written is on the device, however slow that is. */
export const UNMOUNT_TIMEOUT_MS = 30 * 60_000;
/** A device that is still held by what was unmounted is given this long before the call fails and comes again. */
export const WRITE_BACK_PATIENCE_MS = 10_000;

/** Mounts on top of each other that an unmount takes away. */
export const STACKED_MOUNTS_MAX = 16;
/** Start and end of a device that must be readable before it is formatted, and its start empty. */
export const CHECKED_START_BYTES = 1024 * 1024;
export const CHECKED_END_BYTES = 64 * 1024;
export const MKFS_ARGUMENTS_MAX = 64;

/** Volumes on one node: each is an engine process, a FUSE session and a loop device. */
export const VOLUMES_PER_NODE_MAX = 256;

/** Paths as the kernel takes them. */
export const PATH_BYTES_MAX = 4_096;

assert(STATE_TIMEOUT_MS < CALL_TIMEOUT_MS && CALL_TIMEOUT_MS < CALLER_TIMEOUT_MS);
assert(SNAPSHOT_REMOVAL_NOTED_MS < STATE_TIMEOUT_MS && HELD_ELSEWHERE_PATIENCE_MS < STATE_TIMEOUT_MS);
assert(COPY_PATIENCE_MS < STATE_TIMEOUT_MS && GROWTH_PATIENCE_MS < STATE_TIMEOUT_MS);
assert(CALL_TIMEOUT_MS < UNMOUNT_TIMEOUT_MS && WRITE_BACK_PATIENCE_MS < STATE_TIMEOUT_MS);
assert(HTTP_TIMEOUT_MS * HTTP_ATTEMPTS_MAX < CALL_TIMEOUT_MS);
