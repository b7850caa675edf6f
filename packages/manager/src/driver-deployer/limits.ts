/** Every maximum of the driver deployer. */
export const deployerLimits = {
  /** One question to the API that is waited for, and the time between two. */
  backendCallTimeoutMs: 1_000,
  backendRetryMs: 2_000,
  propagationTriesMax: 10,
  propagationRetryMs: 5_000,
  /** An object that is being deleted is waited for: tries, one a second. */
  goneTriesMax: 120,
  goneRetryMs: 1_000,
  detectionTriesMax: 120,
  detectionRetryMs: 1_000,
  /** Tries of a write that lost against somebody else's. */
  applyTriesMax: 10,
} as const;
