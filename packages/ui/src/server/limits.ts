/** Limits of the server of the page. */
export const serverLimits = {
  /** the manager's answer may take this long; it holds some calls until they are done */
  upstreamHeadersMsMax: 90_000,
  /** silence inside of an answer */
  upstreamBodyMsMax: 90_000,
  /** open connections to the manager besides web sockets */
  upstreamConnectionsMax: 128,
  /** a browser has this long to send the headers of a request */
  requestHeadersMsMax: 30_000,
  /** a frame that a browser sends on a web socket: the page sends none */
  clientFrameBytesMax: 64 << 10,
  /** the manager pings every 15 s: a web socket that is silent for longer than two pings is dead */
  streamSilenceMsMax: 40_000,
  /** connections that are open then are cut */
  stopMsMax: 3_000,
} as const;
