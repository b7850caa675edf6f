/**
 * Writes at the start may come before any manager's webhook server can be reached through its service. The API server
 * answers such writes with an internal error; they are tried again for a while.
 */
import { pause } from './clock.ts';
import type { ControllerContext } from './controllers/context.ts';
import { ApiError } from './datastore/kube-transport.ts';

const TRIES_MAX = 120;
const DELAY_MS = 500;

export async function retryWhileWebhooksStart<T>(
  { clock, log }: ControllerContext,
  write: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await write();
    } catch (error) {
      const passing = error instanceof ApiError && (error.status === 0 || error.status >= 500);
      if (!passing || attempt >= TRIES_MAX) throw error;
      if (attempt === 1) log.info({ error: error.message }, 'waiting for the admission webhooks');
      await pause(clock, DELAY_MS, new AbortController().signal);
    }
  }
}
