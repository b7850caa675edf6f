/**
 * What every call of the plugin goes through: one log line without secrets, a lock, a deadline, and a status for
 * whatever is thrown.
 *
 * A call is answered by its deadline even when its work cannot be stopped (mkfs, a mount that hangs in the kernel).
 * The lock is held until the work has really ended, so a repeated call never runs beside it.
 */
import type { Logger } from 'pino';
import { Code, errorText, RpcError, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { CallContext } from '@longhorn/shared-types/grpc/server';
import { CALL_TIMEOUT_MS } from '../limits.ts';
import { rpcErrorOf } from '../api/manager-fault.ts';
import type { Clock } from './clock.ts';
import type { CallScope } from './scope.ts';
import type { VolumeLocks } from './volume-locks.ts';

export interface GuardOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly locks: VolumeLocks;
}

type Work<Request, Response> = (request: Request, scope: CallScope) => Promise<Response>;
type Handler<Request, Response> = (request: Request, context: CallContext) => Promise<Response>;

/** Calls that happen all the time. */
const QUIET = new Set([
  'Probe',
  'NodeGetCapabilities',
  'NodeGetVolumeStats',
  'ControllerGetCapabilities',
  'GetCapacity',
  'ListVolumes',
]);

const replacer = (key: string, value: unknown): unknown => {
  if (key === 'secrets') return undefined;
  return typeof value === 'bigint' ? value.toString() : value;
};

/** A message for the log: nothing secret, and nothing that is empty. */
export function forLog(message: object): unknown {
  const filled = Object.entries(message).filter(
    ([, value]) => value !== '' && value !== null && value !== false && JSON.stringify(value, replacer) !== '{}',
  );
  return JSON.parse(JSON.stringify(Object.fromEntries(filled), replacer));
}

/** Ends with the signal's reason; never succeeds. */
function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => {
      const reason: unknown = signal.reason;
      reject(reason instanceof Error ? reason : rpcError(Code.Canceled, 'the caller has canceled the call'));
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Makes a handler of some work. `lockKey`: what only one call at a time may touch, null = nothing. */
export function guarded<Request extends object, Response extends object>(
  { clock, log, locks }: GuardOptions,
  method: string,
  lockKey: (request: Request) => string | null,
  work: Work<Request, Response>,
): Handler<Request, Response> {
  const level = QUIET.has(method) ? 'trace' : 'info';
  const run = async (request: Request, context: CallContext): Promise<Response> => {
    const key = lockKey(request);
    const release = key === null || key === '' ? () => {} : locks.take(key, method);
    const ended = new AbortController();
    const late = new AbortController();
    const signal = AbortSignal.any([context.signal, late.signal]);
    clock.sleep(CALL_TIMEOUT_MS, ended.signal).then(
      () => late.abort(rpcError(Code.DeadlineExceeded, `${method} was not done after ${CALL_TIMEOUT_MS / 1000} s`)),
      () => undefined,
    );
    const warn = (text: string): void => log.warn({ method, key }, text);
    const working = (async () => work(request, { signal, clock, warn }))().finally(release);
    working.catch((error: unknown) => {
      if (signal.aborted) log.error({ method, key }, `ended after its call was answered: ${errorText(error)}`);
    });
    try {
      return await Promise.race([working, whenAborted(signal)]);
    } finally {
      ended.abort();
    }
  };
  return async (request, context) => {
    log[level]({ method, request: forLog(request) }, 'call');
    try {
      const response = await run(request, context);
      log[level]({ method, response: forLog(response) }, 'answer');
      return response;
    } catch (error) {
      const status = error instanceof RpcError ? error : rpcErrorOf(error);
      log.error({ method, code: status.code }, status.details);
      throw status;
    }
  };
}
