/**
 * Calls of a replica that may take long (a snapshot syncs what was written), mostly with I/O paused.
 *
 * A host that has lost power says nothing, and such a call would wait its whole time for it, I/O with it. So the replica is
 * asked meanwhile whether it is there, and the call is given up when it has not answered for the replica timeout. Only of
 * replicas that answer that question at any time: upstream's do not while they change their layers.
 */
import { pauseFor, type ControlClock } from './control-clock.ts';
import { ANSWER_CHECK_MS, LAYER_OPERATION_TIMEOUT_MS, PROBE_TIMEOUT_MS } from './control-limits.ts';

/** What is needed of a `VolumeContext`. */
export interface Patience {
  readonly clock: ControlClock;
  readonly options: { readonly replicaTimeoutMs: number };
}

/** What is needed of a `ReplicaEntry`. */
export interface AskedReplica {
  readonly address: string;
  readonly client: { ReplicaGet(request: object, options: LongCallOptions): Promise<unknown> };
  readonly report: { readonly knowsEpochs: boolean } | null;
}

export interface LongCallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Rejects with the call's own error, or says that the replica has not answered. */
export async function whileAnswering<T>(
  context: Patience,
  entry: AskedReplica,
  call: (options: LongCallOptions) => Promise<T>,
): Promise<T> {
  const timeoutMs = LAYER_OPERATION_TIMEOUT_MS;
  if (entry.report?.knowsEpochs !== true) return call({ timeoutMs });
  const silent = new AbortController();
  const ended = new AbortController();
  void watch(context, entry, ended.signal).then((isSilent) => {
    if (isSilent) silent.abort();
  });
  try {
    return await call({ timeoutMs, signal: silent.signal });
  } catch (error) {
    if (!silent.signal.aborted) throw error;
    const limitMs = context.options.replicaTimeoutMs;
    throw new Error(`replica ${entry.address} has not answered for ${limitMs} ms`, { cause: error });
  } finally {
    ended.abort();
  }
}

/** True as soon as the replica has not answered for too long; false when the call has ended before. */
async function watch(context: Patience, entry: AskedReplica, ended: AbortSignal): Promise<boolean> {
  const { clock, options } = context;
  let answeredMs = clock.nowMs();
  for (;;) {
    await pauseFor(clock, ANSWER_CHECK_MS, ended);
    if (ended.aborted) return false;
    const askedMs = clock.nowMs();
    try {
      await entry.client.ReplicaGet({}, { timeoutMs: PROBE_TIMEOUT_MS, signal: ended });
      answeredMs = askedMs;
    } catch {
      // Whether it is gone or only slow, the time since its last answer tells.
      if (ended.aborted) return false;
    }
    if (clock.nowMs() - answeredMs >= options.replicaTimeoutMs) return true;
  }
}
