/**
 * Every maximum of this package, with the relations between them checked at load.
 */
import { strict as assert } from 'node:assert';

/** Largest request body of the API server; etcd's own limit is 1.5 MiB, kubectl sends an object twice in annotations. */
export const requestBytesMax = 3 << 20;
/** Events kept for watches that resume, per resource. Older resourceVersions are answered 410 Gone. */
export const historyEventsMax = 1000;
/** A watcher that reads slower than this is disconnected; it lists again. */
export const watchBacklogBytesMax = 16 << 20;
/** Watches of all clients together. */
export const watchesMax = 2000;
/** A watch without timeoutSeconds ends after this time, as the real server's does (30 to 60 minutes). */
export const watchMsMax = 45 * 60_000;
/** Interval of bookmarks of an idle watch that asked for them. */
export const bookmarkIntervalMs = 60_000;
/** Attempts of a patch that meets concurrent writers before the client gets the conflict. */
export const patchAttemptsMax = 8;
/** Default and maximum timeout of one admission webhook call. */
export const webhookTimeoutMs = 10_000;
export const webhookTimeoutMsMax = 30_000;
/** Largest answer of an admission webhook. */
export const webhookAnswerBytesMax = 4 << 20;
/** Core events older than this, or more than this many, are removed when a new one is written. */
export const eventAgeMsMax = 60 * 60_000;
export const eventsMax = 3000;
/** Depth of nested objects accepted from clients. */
export const jsonDepthMax = 64;
/** Validation causes reported for one object. */
export const validationCausesMax = 50;

/** Objects whose writes are counted one by one. */
export const countedWritesMax = 10_000;

/** A container that keeps exiting is started again after 1, 2, 4 … seconds, at most this. */
export const restartBackoffMsMin = 1_000;
export const restartBackoffMsMax = 30_000;
/** A container that ran this long starts over at the smallest back-off. */
export const restartBackoffResetMs = 60_000;
/** Log of one container: size of a file, and rotated files kept besides the current one. */
export const logFileBytesMax = 10 << 20;
export const logFilesKept = 2;
/** Bytes of a line without a line break before it is cut. */
export const logLineBytesMax = 16 << 10;
/** Grace of a pod that does not name its own. */
export const podGraceSeconds = 30;
/** Pod addresses of one node: 127.x.N.2 to 127.x.N.254. */
export const podAddressesFirst = 2;
export const podAddressesLast = 254;
/** Rounds of looking for processes with a mark and killing them, 20 ms apart at least. */
export const killRoundsMax = 250;
export const killRoundMs = 20;
/** Time that `up` gives all pods to end by themselves when it stops, first the managers, then the rest. */
export const stopFirstMs = 4_000;
export const stopSecondMs = 8_000;
/** Between the two: time for programs that others of the second part serve, so that they can end in good order. */
export const stopBetweenMs = 4_000;
/** Time to write out one file system or device at the stop. */
export const flushMsMax = 3_000;
/** Longest wait for a process that was sent SIGKILL. */
export const killedMsMax = 5_000;
/** Log folders of pods that are gone, kept per node. */
export const oldPodLogsKept = 30;
/** A node without power is NotReady after this time, unless `up` is told otherwise. */
export const nodeGraceMs = 10_000;
/** The disks of nodes give the space of deleted files back. */
export const trimEveryMs = 10 * 60_000;
/** Nodes of one cluster: 127.0.0.2 to 127.0.0.201. */
export const nodesMax = 200;
/** Clusters beside each other: from 100 on their pods would have the addresses of another one's services. */
export const instancesMax = 99;
/** Connections that one Service's address carries at a time. */
export const proxyConnectionsMax = 1024;

assert(webhookTimeoutMs <= webhookTimeoutMsMax);
assert(restartBackoffMsMin <= restartBackoffMsMax);
assert(flushMsMax + stopFirstMs + stopBetweenMs + stopSecondMs < 20_000, 'an orderly stop ends within 20 s');
assert(podAddressesFirst > 1 && podAddressesLast < 255);
