/** The kernel's clock for the data path. Timers do not keep the process alive. */
import type { CoreClock } from './member-link.ts';

export const nodeClock: CoreClock = {
  nowMs: () => performance.now(),
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
  soon: (run) => queueMicrotask(run),
};
