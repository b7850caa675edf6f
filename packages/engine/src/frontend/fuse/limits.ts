/** Bounds of the FUSE block device; their relations are asserted at load. */
import { strict as assert } from 'node:assert';

/** Largest read or write of one FUSE request: the kernel's own ceiling for 256 pages of 4 KiB. */
export const FUSE_IO_BYTES_MAX = 1 << 20;
export const FUSE_PAGES_MAX = 256;

/** The kernel refuses a read buffer that could not take a request header, a write header and the largest payload. */
export const FUSE_READ_BYTES = FUSE_IO_BYTES_MAX + 4096;

/** Requests are read into chunks, one after the other; a chunk is used again when all its requests are answered. */
export const CHUNK_BYTES = 4 << 20;
/** 12 x 4 MiB: more than the kernel keeps in flight with small I/O, and at least 36 of the largest requests. */
export const CHUNKS_MAX = 12;
/** Idle chunks beyond these are given back to the system. */
export const CHUNKS_KEPT = 3;

/** Requests in flight; the loop device has 128 tags, direct users of the backing file are few. */
export const SLOTS_MAX = 512;
/** Requests that one wake-up may bring before the event loop gets its turn. */
export const REQUESTS_PER_WAKEUP_MAX = 128;

/** Asynchronous requests that the kernel may have outstanding; above the loop device's 128 tags. */
export const FUSE_BACKGROUND_MAX = 256;
export const FUSE_CONGESTION_THRESHOLD = 192;

/** Sectors of the volume: only whole ones can be unmapped. */
export const UNMAP_ALIGNMENT_BYTES = 4096;

/** LOOP_CONFIGURE races with other users of /dev/loop-control. */
export const LOOP_ATTEMPTS_MAX = 64;
/** A killed engine needs a moment to release its lock: 100 x 100 ms. */
export const LOCK_ATTEMPTS_MAX = 100;
export const LOCK_RETRY_MS = 100;
/** Waiting for a killed holder or a released loop device: 400 x 5 ms. */
export const SETTLE_ATTEMPTS_MAX = 400;
export const SETTLE_RETRY_MS = 5;
/** How long an orderly close waits for dirty data to reach the volume. */
export const CLOSE_FLUSH_TIMEOUT_MS = 30_000;
/** The kernel drops the answer to what it asked about the file when a write ends meanwhile: it is asked again. */
export const SIZE_ATTEMPTS_MAX = 10_000;
/** The kernel asks for INIT at once; a set-up that hears nothing for so long has failed. */
export const INIT_TIMEOUT_MS = 10_000;

export const RECORD_BYTES_MAX = 64 << 10;
/** The name becomes a file name with a suffix and a line in mountinfo. */
export const VOLUME_NAME_CHARS_MAX = 200;

assert(FUSE_READ_BYTES >= 80 + FUSE_IO_BYTES_MAX);
assert(FUSE_IO_BYTES_MAX === FUSE_PAGES_MAX * 4096);
assert(CHUNK_BYTES >= 2 * FUSE_READ_BYTES);
assert(CHUNKS_MAX * Math.floor(CHUNK_BYTES / FUSE_READ_BYTES) >= 36);
assert(SLOTS_MAX > FUSE_BACKGROUND_MAX && FUSE_BACKGROUND_MAX > FUSE_CONGESTION_THRESHOLD);
