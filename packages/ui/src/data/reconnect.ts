/** When a lost stream is tried again. */
import { dataLimits } from './limits.ts';

/**
 * Wait before try number `attempt` (0 = the first after the loss): doubles up to the limit, without end. `random` in
 * [0, 1) spreads the pages of a cluster that came back.
 */
export function reconnectDelayMs(attempt: number, random: number): number {
  const full = Math.min(dataLimits.reconnectMsMin * 2 ** Math.min(attempt, 10), dataLimits.reconnectMsMax);
  return Math.round(full * (0.5 + random / 2));
}
