/** What the engine does with I/O, why, and since when: one sentence for people. Tells watchers of every change. */
import type { ControlClock } from './control-clock.ts';

export type IoState = 'starting' | 'waiting' | 'serving' | 'held' | 'failed';

export class IoStatus {
  state: IoState = 'starting';
  reason = '';
  /** RFC 3339 */
  since: string;
  sinceMs: number;
  private readonly clock: ControlClock;
  private readonly onChange: () => void;

  constructor(clock: ControlClock, onChange: () => void) {
    this.clock = clock;
    this.onChange = onChange;
    this.since = clock.date().toISOString();
    this.sinceMs = clock.nowMs();
  }

  /** A new reason for the same state keeps its `since`. `failed` is final. */
  set(state: IoState, reason: string): void {
    if (this.state === 'failed' || (state === this.state && reason === this.reason)) return;
    if (state !== this.state) {
      this.since = this.clock.date().toISOString();
      this.sinceMs = this.clock.nowMs();
    }
    this.state = state;
    this.reason = reason;
    this.onChange();
  }
}
