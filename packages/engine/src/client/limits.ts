/** Limits of the flows that drive engines and replicas. */

/** Copies of whole volumes end at the latest after a day. */
export const LONG_CALL_TIMEOUT_MS = 24 * 3_600_000;

/** A question that a replica answers from memory: a host that is gone answers nothing. */
export const QUICK_CALL_TIMEOUT_MS = 15_000;

/** A replica's ports: P control, P+1 data, P+2 sync agent. */
export const SYNC_AGENT_PORT_OFFSET = 2;

/** Seconds that a file transfer waits for one HTTP answer when the caller says nothing. */
export const FILE_SYNC_HTTP_TIMEOUT_S = 5;

/** Replicas of a source that a clone tries one after the other. */
export const CLONE_SOURCES_MAX = 3;

/** A revert waits for I/O to stop and for every replica to load the new chain. */
export const REVERT_TIMEOUT_MS = 180_000;
