/** Limits of the control side of an engine; relations are asserted at load. */
import assert from 'node:assert/strict';

/** Default and range of `--engine-replica-timeout`; a value outside counts as the default (upstream's rule). */
export const REPLICA_TIMEOUT_MS = 8_000;
export const REPLICA_TIMEOUT_MAX_MS = 30_000;
/** Default of `--io-hold-timeout`. */
export const IO_HOLD_TIMEOUT_MS = 300_000;
/** The I/O of an engine that was replaced is held this long for the one that takes its device over. */
export const FENCED_HOLD_MS = 10_000;

/** Opening one replica (a call or a connection) when the engine starts or a replica is added. */
export const OPEN_TIMEOUT_MS = 5_000;
/** A snapshot, revert or expansion of one replica: metadata only, but behind a sync of what was written. */
export const LAYER_OPERATION_TIMEOUT_MS = 120_000;
/** Whether a replica is there is asked so often while it works on its layers. */
export const ANSWER_CHECK_MS = 1_000;
/** Asking a replica whether it purges, and to begin. */
export const PURGE_CALL_TIMEOUT_MS = 5_000;
/** Asking a replica that failed whether it is back. */
export const PROBE_TIMEOUT_MS = 2_000;
/** An engine that could start without some member waits this long for it to come, and looks this often. */
export const START_GRACE_MS = 2_000;
export const START_RETRY_MS = 200;
/** Pause between attempts to reach replicas that are waited for. */
export const RETRY_MS = 1_000;
/** A volume that refused writes for want of space has it again when each replica has this much free … */
export const SPACE_AGAIN_BYTES = 16 << 20;
/** … or has some and refused nothing for this long. */
export const SPACE_AGAIN_AFTER_MS = 30_000;
/** Pause before a frontend that did not come up is tried again. */
export const FRONTEND_RETRY_MS = 5_000;
/** Closing replicas at an orderly end. */
export const CLOSE_TIMEOUT_MS = 10_000;
/** Hashing up to 64 MiB of merged content. */
export const RANGE_HASH_TIMEOUT_MS = 60_000;
/** An operation that wants a volume without doubt waits at most this long for the comparison after a crash. */
export const SETTLED_WAIT_MS = 60_000;

/** Addresses that an engine accepts (upstream's replica count ends at 20; failed ones stay listed until they are removed). */
export const REPLICAS_MAX = 40;
/** Operations (snapshots, additions …) that wait for their turn. */
export const OPERATIONS_QUEUED_MAX = 64;
/** Streams of VolumeWatch. */
export const WATCHERS_MAX = 64;
/** VolumeWatch sends at most one message in this time. */
export const WATCH_INTERVAL_MS = 100;

/** Bytes compared by one RangeHash call of the comparison after a crash, and before a rebuilt replica joins. */
export const COMPARE_BYTES = 16 << 20;
/** Blocks that are hashed as one before a rebuilt replica joins. */
export const COMPARE_BLOCK_BYTES = 1 << 20;
/** Passes over regions that were written while they were compared, before a rebuild is called failed. */
export const COMPARE_PASSES_MAX = 8;

/** Limits of upstream's snapshots: disks of a replica over all branches. */
export const SNAPSHOT_TOTAL_MAX = 250;
/** Unit of expansion. */
export const VOLUME_SECTOR_BYTES = 4096;

assert(REPLICA_TIMEOUT_MS <= REPLICA_TIMEOUT_MAX_MS);
assert(PROBE_TIMEOUT_MS < REPLICA_TIMEOUT_MS, 'a probe answers before a replica counts as failed');
assert(COMPARE_BYTES % COMPARE_BLOCK_BYTES === 0, 'a call of the comparison hashes whole blocks');
assert(COMPARE_BYTES <= 64 << 20, 'a comparison fits one RangeHash call');
