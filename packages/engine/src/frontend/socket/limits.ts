/** Limits of the `socket` frontend; the relations between them are asserted when the module is loaded. */
import assert from 'node:assert/strict';
import { FRAME_HEADER_BYTES } from '../../protocol/replica-frame.ts';
import { FRAME_HEADROOM } from '../frontend.ts';

/** Longest read or write; tgt cuts requests far below it. A longer write ends the connection, a longer read is refused. */
export const SOCKET_PAYLOAD_MAX = 32 << 20;
/** Connections at a time; tgtd opens one, and perhaps another before the first has ended. */
export const SOCKET_CONNECTIONS_MAX = 3;
/** Requests of one connection at a time, as deep as upstream's queue; more wait in the socket. */
export const SOCKET_REQUESTS_MAX = 1024;
/** Bytes of the payloads of all connections at a time. */
export const SOCKET_PAYLOAD_BYTES_TOTAL = 96 << 20;
/** Length of a unix socket's path that liblonghorn accepts. */
export const SOCKET_PATH_CHARS_MAX = 107;

assert(FRAME_HEADER_BYTES >= FRAME_HEADROOM, 'the header of a request is room enough for the header of a frame');
assert(SOCKET_PAYLOAD_BYTES_TOTAL >= SOCKET_PAYLOAD_MAX, 'the longest request is let in');
