/** Every maximum and interval of the REST API. */
import { strict as assert } from 'node:assert';

export const apiLimits = {
  bodyBytesMax: 1024 * 1024,
  connectionsMax: 2000,
  requestTimeoutMs: 30_000,
  /** One call to a running engine: a snapshot waits for the writes before it. */
  engineCallTimeoutMs: 60_000,

  /** Web sockets at the same time. */
  streamClientsMax: 1000,
  /** A client may ask for fewer messages: at most one in this time. */
  streamPeriodMaxMs: 15_000,
  /** All changes within this time go out in one message. */
  streamCoalesceMs: 100,
  streamPingMs: 15_000,
  /** What a client may be behind by before it is cut off. */
  streamBacklogBytesMax: 16 * 1024 * 1024,
  /** Messages from clients are read and dropped. */
  streamClientMessageBytesMax: 4096,
} as const;

assert(apiLimits.streamCoalesceMs < apiLimits.streamPeriodMaxMs);
