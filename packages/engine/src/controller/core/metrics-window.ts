/** Counters of reads and writes, swapped every second; what is reported is the last full second. */
import type { CoreMetrics } from './core-api.ts';

export const METRIC_READ = 0;
export const METRIC_WRITE = 3;
const COUNT = 0;
const BYTES = 1;
const LATENCY_MS = 2;
const FIELDS = 6;
const NS_PER_MS = 1e6;

export class MetricsWindow {
  private now = new Float64Array(FIELDS);
  private last = new Float64Array(FIELDS);
  private swappedAtMs = -1;
  private lastSeconds = 1;

  /** One finished operation; `kind` is METRIC_READ or METRIC_WRITE. */
  add(kind: number, bytes: number, latencyMs: number): void {
    const now = this.now;
    now[kind + COUNT] = (now[kind + COUNT] as number) + 1;
    now[kind + BYTES] = (now[kind + BYTES] as number) + bytes;
    now[kind + LATENCY_MS] = (now[kind + LATENCY_MS] as number) + latencyMs;
  }

  tick(nowMs: number): void {
    if (this.swappedAtMs < 0) this.swappedAtMs = nowMs;
    const elapsedMs = nowMs - this.swappedAtMs;
    if (elapsedMs < 1000) return;
    [this.now, this.last] = [this.last, this.now];
    this.now.fill(0);
    this.lastSeconds = elapsedMs / 1000;
    this.swappedAtMs = nowMs;
  }

  report(): CoreMetrics {
    const rate = (at: number): number => Math.round((this.last[at] ?? 0) / this.lastSeconds);
    const latency = (kind: number): number => {
      const count = this.last[kind + COUNT] ?? 0;
      return count === 0 ? 0 : Math.round(((this.last[kind + LATENCY_MS] ?? 0) / count) * NS_PER_MS);
    };
    return {
      readThroughput: rate(METRIC_READ + BYTES),
      writeThroughput: rate(METRIC_WRITE + BYTES),
      readLatency: latency(METRIC_READ),
      writeLatency: latency(METRIC_WRITE),
      readIops: rate(METRIC_READ + COUNT),
      writeIops: rate(METRIC_WRITE + COUNT),
    };
  }
}
