/** Limits of connections that carry requests as a stream of bytes; the relation between them is asserted when the module is loaded. */
import assert from 'node:assert/strict';

/** Buffers are taken in chunks of this size: a request of 1 MiB with its header fits, a larger one has a buffer of its own. */
export const STREAM_CHUNK_BYTES = (1 << 20) + (128 << 10);
/** A chunk with less room than this at its end is left for the next one. */
export const STREAM_ROOM_MIN = 64 << 10;
/** Free chunks that an idle connection keeps. */
export const STREAM_CHUNKS_KEPT = 1;
/** An idle connection gives memory back after about this long. */
export const STREAM_TRIM_AFTER_MS = 5000;

assert(STREAM_CHUNK_BYTES >= 2 * STREAM_ROOM_MIN, 'a chunk is worth its switch');
