/** Limits of the NBD frontend; the relations between them are asserted when the module is loaded. */
import assert from 'node:assert/strict';
import { FRAME_HEADROOM } from '../frontend.ts';
import { NBD_REPLY_BYTES, NBD_REQUEST_BYTES } from '../../protocol/nbd.ts';
import { STREAM_ROOM_MIN } from '../stream/limits.ts';

/** Block sizes as they are advertised. */
export const NBD_BLOCK_MIN = 512;
export const NBD_BLOCK_PREFERRED = 4096;
/** Longest read or write. */
export const NBD_PAYLOAD_MAX = 32 << 20;

/** Connections of one export at a time; further ones are closed at once. */
export const NBD_CONNECTIONS_MAX = 12;
/** Connections that have not entered TLS yet, where it is required; further ones are closed at once. */
export const NBD_TLS_UPGRADES_MAX = 12;
/** Requests of one connection at a time; more wait in the socket. */
export const NBD_REQUESTS_MAX = 256;
/** Bytes of the payloads of all connections of an export at a time, but at least one request each. */
export const NBD_PAYLOAD_BYTES_TOTAL = 96 << 20;

/** Data of one handshake option; longer ones end the connection. */
export const NBD_OPTION_BYTES_MAX = 8192;
/** Options in one handshake. */
export const NBD_OPTIONS_MAX = 64;
export const NBD_HANDSHAKE_TIMEOUT_MS = 30_000;
/** Zeros are written in pieces of this. */
export const NBD_ZEROES_PIECE = 1 << 20;

assert(NBD_REQUEST_BYTES >= FRAME_HEADROOM, 'the header of a request is room enough for the header of a frame');
assert(STREAM_ROOM_MIN > NBD_OPTION_BYTES_MAX + 16, 'an option of the handshake fits the room of a chunk');
assert(NBD_PAYLOAD_BYTES_TOTAL >= NBD_PAYLOAD_MAX + NBD_REPLY_BYTES, 'the longest request is let in');
