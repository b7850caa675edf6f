/** VolumeWatch: the state at once, then one message per change, changes within a short time joined. */
import type { Volume } from '@longhorn/shared-types/generated/ptypes';
import { pauseFor } from './control-clock.ts';
import { WATCH_INTERVAL_MS, WATCHERS_MAX } from './control-limits.ts';
import { volumeMessage } from './volume-message.ts';
import type { VolumeEngine } from './volume-engine.ts';

export class VolumeWatchers {
  private readonly engine: VolumeEngine;
  private count = 0;

  constructor(engine: VolumeEngine) {
    this.engine = engine;
  }

  /** Ends with the signal. */
  async *watch(signal: AbortSignal): AsyncGenerator<Volume, void> {
    if (this.count >= WATCHERS_MAX) throw new Error(`too many watchers (${this.count}); end one first`);
    const { context } = this.engine;
    this.count++;
    let changed = true;
    let wake: () => void = () => undefined;
    const note = (): void => {
      changed = true;
      wake();
    };
    const stop = context.onChange(note);
    signal.addEventListener('abort', note, { once: true });
    try {
      while (!signal.aborted) {
        if (changed) {
          changed = false;
          yield volumeMessage(this.engine);
          await pauseFor(context.clock, WATCH_INTERVAL_MS, signal);
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      stop();
      signal.removeEventListener('abort', note);
      this.count--;
    }
  }
}
