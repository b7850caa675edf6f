/**
 * A volume whose replicas are all full goes on: reads and overwrites are served, new data gets ENOSPC. Here it says so, until
 * every replica has space again; and where a write ended in the middle, the replicas are made equal as soon as they can be.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { pauseFor } from './control-clock.ts';
import { PROBE_TIMEOUT_MS, RETRY_MS, SPACE_AGAIN_AFTER_MS, SPACE_AGAIN_BYTES } from './control-limits.ts';
import { BLOCK_BYTES } from './core/core-limits.ts';
import type { DoubtSettling } from './doubt-settling.ts';
import { readReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

export const FULL_REASON =
  'No replica has space left for new data: such writes get ENOSPC. Reads go on, and overwrites of what was written since the last snapshot.';

export class FullDisks {
  private readonly context: VolumeContext;
  private readonly settling: DoubtSettling;
  private refusedMs = 0;
  private isWatching = false;

  constructor(context: VolumeContext, settling: DoubtSettling) {
    this.context = context;
    this.settling = settling;
  }

  /** A write was refused because no member had space for it. */
  refused(): void {
    this.refusedMs = this.context.clock.nowMs();
    this.settling.goOn();
    if (this.isWatching) return;
    this.isWatching = true;
    this.context.log.warn('writes are refused: no replica has space left');
    this.watch().catch(this.context.crash);
  }

  private async watch(): Promise<void> {
    const { context } = this;
    while (!context.isOver()) {
      // Another word, for example of a change of members, goes before; this one comes again after it.
      if (context.io.state === 'serving' && context.io.reason === '') context.io.set('serving', FULL_REASON);
      await pauseFor(context.clock, RETRY_MS, context.stopping.signal);
      if (this.settling.isSettled() && (await this.hasSpace())) break;
    }
    this.isWatching = false;
    if (context.io.reason !== FULL_REASON) return;
    context.log.info('the replicas have space again');
    context.io.set('serving', '');
  }

  /** All members have plenty, or some and refused nothing for a while; one that does not tell counts as the latter. */
  private async hasSpace(): Promise<boolean> {
    const { context } = this;
    const free = await Promise.all(context.replicas.inStage('reading').map((entry) => this.freeBytes(entry)));
    if (free.every((bytes) => bytes !== null && bytes >= SPACE_AGAIN_BYTES)) return true;
    const isQuiet = context.clock.nowMs() - this.refusedMs >= SPACE_AGAIN_AFTER_MS;
    return isQuiet && free.every((bytes) => bytes === null || bytes >= BLOCK_BYTES);
  }

  private async freeBytes(entry: ReplicaEntry): Promise<number | null> {
    try {
      const { replica } = await entry.client.ReplicaGet({}, { timeoutMs: PROBE_TIMEOUT_MS });
      return readReport(replica).freeBytes;
    } catch (error) {
      this.context.log.warn('cannot ask a replica for its space', { replica: entry.address, reason: errorText(error) });
      return 0;
    }
  }
}
