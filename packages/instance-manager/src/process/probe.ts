/**
 * Whether a process answers. For a new one: TCP connections until one is accepted (cheap, and without a client's pause
 * after a refusal), then the gRPC health service.
 */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { joinHostPort } from '@longhorn/shared-types/grpc/address';
import { checkHealth } from '@longhorn/shared-types/grpc/health';
import { Code, RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { PROBE_CALL_MS, type ProcessLimits } from '../limits.ts';
import type { Liveness } from './hang-watch.ts';

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: PROBE_CALL_MS });
    const finish = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => finish(true));
    socket.once('timeout', () => finish(false));
    socket.once('error', () => finish(false));
  });
}

async function isHealthy(address: string): Promise<boolean> {
  try {
    return await checkHealth(address, { timeoutMs: PROBE_CALL_MS });
  } catch (error) {
    if (error instanceof RpcError) return false;
    throw error;
  }
}

/** True once the process on `host`:`port` serves; false after the limit or when `signal` is aborted. */
export async function probe(
  host: string,
  port: number,
  limits: Pick<ProcessLimits, 'probeIntervalMs' | 'probeTotalMs'>,
  signal: AbortSignal,
): Promise<boolean> {
  const ends = AbortSignal.any([signal, AbortSignal.timeout(limits.probeTotalMs)]);
  while (!ends.aborted) {
    if ((await accepts(host, port)) && (await isHealthy(joinHostPort(host, port)))) return !signal.aborted;
    await delay(limits.probeIntervalMs, undefined, { signal: ends }).catch(() => undefined);
  }
  return false;
}

/** One health check of a process that has been running. */
export async function liveness(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<Liveness> {
  try {
    await checkHealth(joinHostPort(host, port), { timeoutMs }, signal);
    return 'answers';
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    return error.code === Code.DeadlineExceeded ? 'silent' : 'refuses';
  }
}
