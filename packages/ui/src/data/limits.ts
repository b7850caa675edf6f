/** Limits of what the page asks for and keeps. */
export const dataLimits = {
  /** first wait before a lost stream is opened again; doubles each time */
  reconnectMsMin: 500,
  reconnectMsMax: 10_000,
  /** a stream that is not open after this counts as lost */
  openMsMax: 10_000,
  /** a call without an answer is given up */
  requestMsMax: 120_000,
  /** lists are read again after this although their streams are open: a dead connection may look like silence */
  listPollMs: 60_000,
  /** snapshots have no stream: they are read again after this */
  snapshotsPollMs: 10_000,
  /** characters of a server's message that are shown */
  messageCharactersMax: 4_000,
} as const;
