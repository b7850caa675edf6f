/** Every maximum of the manager in one place; relations between them are asserted at load. */
import { strict as assert } from 'node:assert';

export const limits = {
  /** Keys that one controller works on at the same time. */
  workersPerController: 5,
  /** Distinct keys that one queue holds; more is a leak, not load. */
  queueKeysMax: 100_000,
  /** Back-off of a failing key. */
  retryDelayMinMs: 50,
  retryDelayMaxMs: 30_000,
  /** Delay of a key whose write lost against somebody else's: the cache catches up within it. */
  conflictDelayMs: 20,
  /** A stalled key is looked at again after this time even if nothing happens. */
  stalledRecheckMs: 60_000,
  /** All keys are looked at again in this interval: a net under lost events, not a way of working. */
  resyncIntervalMs: 10 * 60_000,

  /** Objects in one page of a list call. */
  listPageSize: 500,
  /** One API call. */
  apiCallTimeoutMs: 30_000,
  /** How long the API server keeps a watch open, and how long after that the client gives up on it. */
  watchTimeoutS: 300,
  watchInactivityMs: 330_000,
  watchRetryMinMs: 250,
  watchRetryMaxMs: 10_000,
  /** A watch that lasted this long, or told something, was none that failed. */
  watchLivedMs: 5_000,
  /** Deleted objects that a cache remembers, so that a late answer does not bring one back. */
  deletedUidsMax: 4096,
  /** Tries of a read-modify-write before the conflict is passed on. */
  conflictTriesMax: 10,

  /** Events waiting to be written; further ones are dropped and counted. */
  eventQueueMax: 1000,
  /** Equal events within this time are counted on one object. */
  eventAggregationMs: 10 * 60_000,
  eventAggregationsMax: 4096,

  /** One call of an instance manager. */
  instanceCallTimeoutMs: 60_000,
  /** Calls in a pass over an engine: a dead peer must not hold it up. */
  proxyCallTimeoutMs: 15_000,
  /** Tries to answer an engine's question about its membership, this far apart. */
  answerRetryMs: 250,
  answerTriesMax: 1200,
  /** Liveness of a stream is checked by keepalive pings. */
  keepaliveIntervalMs: 10_000,
  keepaliveTimeoutMs: 5_000,
  /** Processes of an instance manager are listed at least this often, whatever its stream says. */
  instanceListMs: 60_000,
  streamRetryMinMs: 200,
  streamRetryMaxMs: 5_000,
  /** Message size of snapshot lists and the like. */
  grpcMessageBytesMax: 32 * 1024 * 1024,

  /** Engine that keeps dying is started again after this back-off. */
  engineRestartDelayMinMs: 500,
  engineRestartDelayMaxMs: 30_000,
  /** An engine that ran this long is not counted as crash-looping any more. */
  engineStableAfterMs: 60_000,
  rebuildRetryDelayMinMs: 10_000,
  rebuildRetryDelayMaxMs: 5 * 60_000,
  /** Progress of rebuilds, purges and the like is polled in this interval, only while there is one. */
  progressPollMs: 2_000,
  /** Snapshot sizes of a running engine. */
  snapshotPollMs: 60_000,

  /** Replicas of a failed start are tried again after this time. */
  replicaStartRetryMs: 3_000,
  /** A start waits this long for further replicas once one runs; what comes later is taken in by the engine. */
  startWaitsForReplicasMs: 20_000,
  /** An engine that ended waits this long for replicas whose processes are coming up, too. */
  engineWaitsForReplicasMs: 5_000,
  /** A volume that is blocked is looked at this often besides events. */
  blockedVolumeLookMs: 5_000,
  replicaReuseDelayMinMs: 5_000,
  replicaReuseDelayMaxMs: 3 * 60_000,
  rebuildRetriesMax: 5,
  scheduleRetryMs: 30_000,
  autoSalvageWindowMs: 60_000,

  /** A copy of a volume that failed is tried again after this time, each time twice as long. */
  cloneRetryDelayMs: 30_000,
  cloneAttemptsMax: 10,
  /** A call that copies and fails is judged after this time: if a process of ours has died, it is no failure of the copy. */
  cloneFailureSettlesMs: 3_000,
  /** A source that the caches do not know is given this long to appear there. */
  cloneSourceAppearsMs: 30_000,

  /** A pod that has to mount its volume anew is deleted this long after the request at the earliest, with this grace. */
  remountSettleMs: 5_000,
  remountPodGraceS: 30,
  /** A force-deleted pod that holds an attachment: how often is looked whether another pod waits for it. */
  multiAttachLookMs: 10_000,
  /** A node that the caches call down is ready: they catch up within this time. */
  nodeCatchUpMs: 2_000,

  diskPollMs: 30_000,
  /** What a node lacks is looked for anew after this time. */
  environmentPollMs: 300_000,
  /** While a disk is short of space: what waits for it goes on soon after space is freed. */
  shortDiskPollMs: 5_000,
  /** An engine process that nobody asks for is ended after this time; how often is looked whether that still holds. */
  leftoverGraceMs: 60_000,
  leftoverLookMs: 10_000,
  podRecreateDelayMinMs: 1_000,
  podRecreateDelayMaxMs: 120_000,
  /** A kubelet's Ready=False is believed after this time, Ready=Unknown at once. */
  kubeletGraceMs: 15_000,
  /** A node that Kubernetes does not have is forgotten after this time: one that registers anew is back within seconds. */
  nodeRemovedAfterMs: 60_000,
  engineImageExpiryMs: 60 * 60_000,
} as const;

assert(limits.retryDelayMinMs < limits.retryDelayMaxMs);
assert(limits.watchInactivityMs > limits.watchTimeoutS * 1000, 'the client must outwait the server');
assert(limits.keepaliveTimeoutMs < limits.keepaliveIntervalMs);
assert(limits.engineRestartDelayMinMs < limits.engineRestartDelayMaxMs);
