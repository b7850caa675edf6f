/** The standard health service: serving while the process answers. */
import { setTimeout as delay } from 'node:timers/promises';
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from '../generated/grpc-health-v1.ts';
import { createClient, type ClientOptions } from './client.ts';
import { HEALTH_WATCH_MS } from './limits.ts';
import type { RpcServer } from './server.ts';

/**
 * Adds health to a server. `watch` `endless` repeats the state every second (engine, instance manager); `once` sends it
 * once and ends (replica).
 */
export function addHealthService(server: RpcServer, watch: 'endless' | 'once'): void {
  const serving = { status: ServingStatus.SERVING };
  server.add(Health, {
    Check: () => serving,
    List: () => ({ statuses: { grpc: serving } }),
    async *Watch(_request, { signal }) {
      yield serving;
      while (watch === 'endless' && !signal.aborted) {
        await delay(HEALTH_WATCH_MS, undefined, { signal, ref: false }).catch(() => undefined);
        if (!signal.aborted) yield serving;
      }
    },
  });
}

/** Whether the server at `address` says that it serves; throws what the call throws. */
export async function checkHealth(address: string, options: ClientOptions, signal?: AbortSignal): Promise<boolean> {
  const client = createClient(Health, address, options);
  try {
    const { status } = await client.Check({ service: '' }, signal === undefined ? {} : { signal });
    return status === ServingStatus.SERVING;
  } finally {
    client.close();
  }
}
