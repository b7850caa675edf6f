/** Every maximum and interval of the webhook server. */
import { strict as assert } from 'node:assert';

export const webhookLimits = {
  /** An admission review holds the object twice; the API server takes objects up to 3 MiB. */
  bodyBytesMax: 16 * 1024 * 1024,
  /** A request must be there within this time; the API server waits 10 s for the answer. */
  requestTimeoutMs: 9_000,
  connectionsMax: 1000,
  /** Certificates and configurations are looked at again in this interval, and after an error. */
  checkIntervalMs: 5 * 60_000,
  retryIntervalMs: 2_000,
  /** An authority that was replaced is trusted this long yet: many looks, so that every manager follows. */
  previousCaTrustedMs: 60 * 60_000,
  previousCasMax: 3,
  /** Tries of the first set-up before it is given up. */
  setUpTriesMax: 60,
  /** Rounds of creating or taking over a secret that other managers write, too. */
  secretTriesMax: 5,
} as const;

assert(webhookLimits.previousCaTrustedMs > 2 * webhookLimits.checkIntervalMs);
assert(webhookLimits.retryIntervalMs < webhookLimits.checkIntervalMs);
