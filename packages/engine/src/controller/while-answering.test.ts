import { expect, it } from 'vitest';
import { ProcessClock, SimTime } from '../../sim/sim-time.ts';
import { LAYER_OPERATION_TIMEOUT_MS } from './control-limits.ts';
import { whileAnswering, type AskedReplica, type LongCallOptions } from './while-answering.ts';

const time = new SimTime();
const context = { clock: new ProcessClock(time), options: { replicaTimeoutMs: 8000 } };

/** A replica whose long call ends after `endsMs`, and that answers questions until `silentMs`. */
function replica(endsMs: number, silentMs: number, knowsEpochs = true) {
  const begunMs = time.nowMs();
  const answer = (afterMs: number, { timeoutMs, signal }: LongCallOptions): Promise<string> =>
    new Promise((resolve, reject) => {
      if (afterMs < timeoutMs) time.at(afterMs, () => resolve('done'));
      else time.at(timeoutMs, () => reject(new Error('deadline exceeded')));
      signal?.addEventListener('abort', () => reject(new Error('cancelled')));
    });
  const entry: AskedReplica = {
    address: 'r1',
    client: {
      ReplicaGet: (_request, options) => answer(time.nowMs() - begunMs < silentMs ? 1 : Infinity, options),
    },
    report: { knowsEpochs },
  };
  return { entry, call: (options: LongCallOptions) => answer(endsMs, options) };
}

it.each<[string, number, number, boolean, string, number]>([
  ['ends in its time', 500, Infinity, true, 'done', 500],
  ['takes long, and its replica answers', 100_000, Infinity, true, 'done', 100_000],
  ['ends while its replica is silent for less than the limit', 9000, 3000, true, 'done', 9000],
  ['is given up when the replica has gone silent', Infinity, 3000, true, 'r1 has not answered for 8000 ms', 11_000],
  ['of a replica of upstream waits for its time', Infinity, 0, false, 'deadline', LAYER_OPERATION_TIMEOUT_MS],
  ['has its time-out although the replica answers', Infinity, Infinity, true, 'deadline', LAYER_OPERATION_TIMEOUT_MS],
])('a call that %s', async (_name, endsMs, silentMs, knowsEpochs, outcome, afterMs) => {
  const { entry, call } = replica(endsMs, silentMs, knowsEpochs);
  const begunMs = time.nowMs();
  let ended: { text: string; afterMs: number } | null = null;
  const end = (text: string): void => {
    ended = { text, afterMs: time.nowMs() - begunMs };
  };
  void whileAnswering(context, entry, call).then(end, (error: Error) => end(error.message));
  await time.run(begunMs + 2 * LAYER_OPERATION_TIMEOUT_MS);
  expect(ended).toMatchObject({ text: expect.stringContaining(outcome) });
  // Silence is noticed within one question.
  expect(Math.abs((ended ?? { afterMs: Infinity }).afterMs - afterMs)).toBeLessThanOrEqual(3000);
});
