/** Limits of the engine package: every queue, frame and retry has its maximum here; relations are asserted at load. */
import assert from 'node:assert/strict';

/** Unit of the replica's files: the block index, unmap and copies between layers work in these. */
export const BLOCK_BYTES = 4096;
/** Unit of the list of recently written regions. */
export const REGION_BYTES = 65_536;
/** `SectorSize` in volume.meta and gRPC; a volume's size is a multiple of it. */
export const SECTOR_BYTES = 512;
/** Layers of a live chain, head included (upstream's limit). */
export const LIVE_CHAIN_MAX = 250;
/** Disks of a replica over all branches that a snapshot may lead to (upstream's limit). */
export const SNAPSHOT_COUNT_MAX = 250;

/** A JSON file of a replica (volume.meta, disk metas, checksum, our state) larger than this is refused. */
export const META_FILE_BYTES_MAX = 1 << 20;

/** Space that a replica keeps for its own metadata on a full disk … */
export const SPACE_RESERVE_BYTES = 64 << 10;
/** … of which this must be left for a snapshot to be taken: it needs blocks for good, membership records must still fit. */
export const SNAPSHOT_RESERVE_BYTES = 32 << 10;

/** One receive buffer per data connection; payloads go from it into the file. */
export const RECEIVE_BUFFER_BYTES = 256 << 10;
/** Answers of one chunk are gathered here and leave in one write. */
export const ANSWER_BUFFER_BYTES = 256 << 10;
/** Gather buffers that a connection keeps for reuse. */
export const ANSWER_BUFFERS_KEPT = 2;
/** Longest read or write in one frame; a longer one closes the connection. */
export const FRAME_PAYLOAD_MAX = 32 << 20;
/** Answers that the peer has not taken: above this the connection reads nothing more. */
export const UNSENT_BYTES_MAX = 4 << 20;
/** Reads of a connection that wait for the device: above this the connection reads nothing more. */
export const COLD_READ_BYTES_MAX = 16 << 20;
export const COLD_READS_MAX = 256;
/** Data connections of a replica; further ones are closed at once. */
export const DATA_CONNECTIONS_MAX = 64;
/** Neighbouring small writes joined into one system call. */
export const JOINED_WRITES_MAX = 64;
/** Payloads up to this size are worth joining. */
export const JOINED_PAYLOAD_MAX = 16 << 10;
/** Flushes of one connection that wait for the device. */
export const FLUSHES_WAITING_MAX = 1024;
/** Error texts on the data connection are cut here. */
export const ERROR_TEXT_MAX = 4096;

/** Writeback begins after this many bytes … */
export const WRITEBACK_BYTES = 64 << 20;
/** … or this long after a write. */
export const WRITEBACK_AFTER_MS = 1000;

/** Flushes whose FLUSHED is outstanding, kept apart in the region list; more are joined, which keeps regions longer. */
export const FLUSH_GENERATIONS_MAX = 64;
/** Regions of one generation remembered one by one; above it the whole bitmap is cleared at the next flush. */
export const REGION_LIST_MAX = 1 << 16;

/**
 * An unmap is worked on in pieces of this size, so that other connections are served in between: over a snapshot a piece
 * is written as zeros, some milliseconds for this much.
 */
export const UNMAP_PIECE_BYTES = 8 << 20;
/** A replica waits this long, in tries, for another process to let go of its folder: a sync of what is dirty, and a close. */
export const FOLDER_CLAIM_RETRY_MS = 50;
export const FOLDER_CLAIM_TRIES = 60;
/** How often the holder looks for a request. */
export const FOLDER_REQUEST_POLL_MS = 500;
/** One call of RangeHash. */
export const RANGE_HASH_BYTES_MAX = 64 << 20;
/** Of one answer of AllocationGet: what of the volume it covers (a block of it takes nanoseconds), and how finely. */
export const ALLOCATION_BYTES_MAX = 2 ** 32;
export const ALLOCATION_RUNS_MAX = 4096;
/** RangeHash reads the merged content in pieces of this size. */
export const RANGE_HASH_PIECE_BYTES = 1 << 20;
/** One record of what an unsynced write replaced (a power-cut that is played on a plain folder). */
export const UNDO_PIECE_BYTES = 1 << 20;
/** Extents asked of the file system in one call. */
export const EXTENTS_PER_CALL = 512;
/** Records that a membership record may carry as what it was proposed from; deeper or more is refused. */
export const MEMBERSHIP_BASES_MAX = 64;
export const MEMBERSHIP_DEPTH_MAX = 4;

assert(SNAPSHOT_RESERVE_BYTES < SPACE_RESERVE_BYTES && SPACE_RESERVE_BYTES % BLOCK_BYTES === 0);
assert(FRAME_PAYLOAD_MAX >= ANSWER_BUFFER_BYTES, 'a payload may be larger than a gather buffer, not the reverse');
assert(RECEIVE_BUFFER_BYTES >= 2 * BLOCK_BYTES, 'a receive buffer holds whole blocks');
assert(REGION_BYTES % BLOCK_BYTES === 0, 'a region is whole blocks');
assert(UNMAP_PIECE_BYTES % BLOCK_BYTES === 0, 'a piece of an unmap is whole blocks');
assert(RANGE_HASH_BYTES_MAX % RANGE_HASH_PIECE_BYTES === 0, 'a range is whole pieces');
assert(
  FOLDER_CLAIM_RETRY_MS * FOLDER_CLAIM_TRIES >= 4 * FOLDER_REQUEST_POLL_MS,
  'a holder sees a request, syncs and closes within the wait',
);
assert(LIVE_CHAIN_MAX < 255, 'a layer number fits a byte of the block index');

/** Copies between layers and between replicas move pieces of this size. */
export const COPY_PIECE_BYTES = 2 << 20;
/** Pieces of a file transfer in flight. */
export const COPY_PIECES_IN_FLIGHT = 8;
/** Ranges of one piece when blocks with data and without take turns; more are sent as separate pieces. */
export const COPY_RANGES_MAX = COPY_PIECE_BYTES / BLOCK_BYTES;
/** Bytes a second: with less a rebuild would hardly end. */
export const REBUILD_LIMIT_MIN = 1 << 20;
/** The receiver of a file ends after this long without a request. */
export const RECEIVER_IDLE_MS = 90_000;
/** A replica that has failed ends its process after this long. */
export const FAULT_EXIT_MS = 1000;
/** How long a sender tries to reach a receiver. */
export const RECEIVER_CONNECT_MS = 120_000;
export const RECEIVER_RETRY_MS = 1000;
/** A transfer that broke is started again this often. */
export const FILE_TRIES_MAX = 3;
/** Finished hash jobs that are remembered, and failed ones. */
export const HASH_JOBS_KEPT = 10;
/** A snapshot is hashed in pieces of this size, so that I/O is served in between. */
export const HASH_PIECE_BYTES = 256 << 10;
export const HASH_LOCK_RETRY_MS = 1000;
/**
 * A purge that moves a piece, or frees as many runs as it does at a time, then leaves clients alone for so long, if they have asked
 * for something meanwhile: it takes about a third of what one disk or core can do.
 */
export const PURGE_REST_MS = 20;
/** Layers whose data is copied are begun to be written to the device after this many bytes. */
export const COPY_WRITEBACK_BYTES = 64 << 20;

assert(COPY_PIECE_BYTES % BLOCK_BYTES === 0, 'a piece of a copy is whole blocks');
assert(RECEIVER_RETRY_MS < RECEIVER_CONNECT_MS, 'a receiver is tried more than once');
