/** Limits of the iSCSI frontend; the relations between them are asserted when the module is loaded. */
import assert from 'node:assert/strict';
import { FRAME_HEADROOM } from '../frontend.ts';
import { STREAM_CHUNK_BYTES, STREAM_ROOM_MIN } from '../stream/limits.ts';
import { PDU_HEADER_BYTES } from '../../protocol/iscsi-pdu.ts';

export const ISCSI_PORT = 3260;
/** Ports above it, for volumes whose node has another one at the first; and how many of them are tried. */
export const OWN_PORTS = 1000;
export const OWN_PORT_TRIES = 16;
export const ISCSI_LUN = 1;
/** Logical blocks are those of upstream's target. */
export const SECTOR_BYTES = 512;
/** What the volume itself is kept in; advertised as the physical block and the granularity of UNMAP. */
export const PHYSICAL_BYTES = 4096;

/** Connections at a time, those in their login phase too; further ones are closed at once. */
export const ISCSI_CONNECTIONS_MAX = 16;
/** Commands of one connection at a time: the window of CmdSN. */
export const ISCSI_COMMANDS_MAX = 128;
/** Bytes of the payloads of all connections at a time. */
export const ISCSI_PAYLOAD_BYTES_TOTAL = 96 << 20;
/** Bytes of one connection's writes whose data is still to come. */
export const ISCSI_GATHER_BYTES_MAX = 24 << 20;
/** Longest transfer of one command; advertised, and refused above. */
export const ISCSI_TRANSFER_MAX = 16 << 20;
/** Longest data segment that we take (MaxRecvDataSegmentLength). */
export const ISCSI_SEGMENT_MAX = 256 << 10;
/** Longest data segment that we send, whatever the initiator would take. */
export const ISCSI_SEND_SEGMENT_MAX = 256 << 10;
export const ISCSI_FIRST_BURST_MAX = 256 << 10;
export const ISCSI_MAX_BURST = 1 << 20;
/** Additional header segments of a PDU. */
export const ISCSI_AHS_BYTES_MAX = 252;
/** Task management functions of a connection that wait for tasks to end. */
export const ISCSI_TASK_MANAGEMENT_MAX = 8;

/** Login: bytes of keys of one exchange, and PDUs until the full feature phase. */
export const LOGIN_TEXT_BYTES_MAX = 16 << 10;
export const LOGIN_SEGMENT_MAX = 8192;
export const LOGIN_PDUS_MAX = 32;
export const TEXT_KEYS_MAX = 64;
export const ISCSI_NAME_BYTES_MAX = 223;
/** CHAP challenges, ours and what an initiator may send. */
export const CHAP_CHALLENGE_BYTES = 16;
export const CHAP_VALUE_BYTES_MAX = 1024;

/** How often connections are looked at. */
export const ISCSI_TICK_MS = 5000;
/** No login, or nothing heard: after this many ticks it ends; halfway a NOP-In asks. */
export const ISCSI_LOGIN_TICKS = 3;
export const ISCSI_SILENT_TICKS = 6;
export const ISCSI_PING_TICKS = 3;
/** What a nexus has not been told yet. */
export const ISCSI_UNIT_ATTENTIONS_MAX = 8;

/** Blocks of a COMPARE AND WRITE. */
export const COMPARE_BLOCKS_MAX = 128;
export const UNMAP_DESCRIPTORS_MAX = 256;
/** Of one WRITE SAME, and of all ranges of one UNMAP. */
export const WRITE_SAME_BYTES_MAX = 16 << 20;
export const UNMAP_BYTES_MAX = 512 << 20;
/** Advertised as the transfer that goes best. */
export const PIECE_BYTES = 1 << 20;
/** Repeated writes and verifications are worked on in pieces of this much. */
export const JOB_PIECE_BYTES = 128 << 10;
/** Commands that are not plain reads and writes, of all connections, that wait for ranges of the volume. */
export const RANGE_LOCKS_MAX = 2048;
/** Registrations for persistent reservations. */
export const REGISTRATIONS_MAX = 128;

assert(PDU_HEADER_BYTES >= FRAME_HEADROOM, 'the header of a PDU is room enough for the header of a frame');
assert(ISCSI_SEGMENT_MAX >= ISCSI_FIRST_BURST_MAX, 'immediate data fits one segment');
assert(STREAM_CHUNK_BYTES >= ISCSI_SEGMENT_MAX + ISCSI_AHS_BYTES_MAX + STREAM_ROOM_MIN, 'a PDU fits a chunk');
assert(ISCSI_GATHER_BYTES_MAX >= ISCSI_TRANSFER_MAX, 'the longest write is let in');
assert(ISCSI_PAYLOAD_BYTES_TOTAL >= 2 * ISCSI_GATHER_BYTES_MAX, 'one connection does not take all');
assert(ISCSI_PING_TICKS < ISCSI_SILENT_TICKS, 'a silent peer is asked before it is given up');
assert(RANGE_LOCKS_MAX >= ISCSI_CONNECTIONS_MAX * ISCSI_COMMANDS_MAX, 'each command may wait for a range');
