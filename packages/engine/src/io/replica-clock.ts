/** Time as a replica sees it: tests have their own. */
export interface ReplicaClock {
  /** the wall clock */
  now(): Date;
  /** Runs `run` once after that time unless the returned function is called first; does not keep the process alive. */
  after(ms: number, run: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: ReplicaClock = {
  now: () => new Date(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** RFC 3339 in UTC with seconds, as upstream writes creation times. */
export function rfc3339Seconds(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
