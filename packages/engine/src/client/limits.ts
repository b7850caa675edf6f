/** Limits of the flows that drive engines and replicas. */

/** Copies of whole volumes end at the latest after a day. */
export const LONG_CALL_TIMEOUT_MS = 24 * 3_600_000;

/** A replica's ports: P control, P+1 data, P+2 sync agent. */
export const SYNC_AGENT_PORT_OFFSET = 2;

/** Seconds that a file transfer waits for one HTTP answer when the caller says nothing. */
export const FILE_SYNC_HTTP_TIMEOUT_S = 5;
