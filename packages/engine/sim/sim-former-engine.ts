/**
 * An engine whose node was taken for dead while it lives on, and another engine was started for its volume.
 *
 * Its user goes on writing. From the moment the other engine serves, none of these writes may be acknowledged, and
 * nothing of them may ever be read: a write of nobody's number shows up in the checker.
 */
import type { CompletionSink } from '../src/frontend/frontend.ts';
import type { Random } from '../src/membership/random.ts';
import { BLOCK_BYTES, SECTOR_BYTES } from './sim-device.ts';
import type { SimEngine } from './sim-engine.ts';

const STEP_MS = 100;
/** How long its user tries. */
const LIFE_MS = 60_000;
const FOREIGN = 0xffff_ffff;

export interface FormerEngineOptions {
  readonly engine: SimEngine;
  readonly random: Random;
  readonly blocks: number;
  /** the engine that replaced it has served */
  readonly isReplaced: () => boolean;
  /** it reaches the control plane, which tells it that it is not the current engine */
  readonly isTold: boolean;
  readonly violation: (text: string) => void;
}

export class FormerEngine implements CompletionSink {
  readonly engine: SimEngine;
  private readonly options: FormerEngineOptions;
  private readonly sinceMs: number;
  private readonly discards = new Set<number>();
  private next = 1;

  constructor(options: FormerEngineOptions) {
    this.options = options;
    this.engine = options.engine;
    this.sinceMs = options.engine.clock.nowMs();
    options.engine.clock.every(STEP_MS, () => this.step());
  }

  complete(key: number, errno: number): void {
    // A discard promises nothing, and is answered without being done while a replica is rebuilt.
    if (errno === 0 && !this.discards.has(key))
      this.options.violation(`engine ${this.engine.epoch} acknowledged a write after it had been replaced`);
  }

  flushCompletions(): void {
    // Nothing is gathered.
  }

  private step(): void {
    const { engine, random, blocks, isReplaced, isTold } = this.options;
    if (engine.clock.nowMs() - this.sinceMs > LIFE_MS) return engine.kill();
    const { keeper, core } = engine.context;
    const request = keeper?.request;
    if (request && isTold)
      engine.engine.confirmMembership(request.epoch, request.count, false, 'not the current engine');
    if (!isReplaced()) return undefined;
    const block = random.below(blocks);
    const buffer = Buffer.alloc(BLOCK_BYTES);
    for (let at = 0; at < BLOCK_BYTES; at += SECTOR_BYTES) buffer.writeUInt32LE(FOREIGN, at);
    const key = this.next++;
    if (random.chance(0.2)) {
      this.discards.add(key);
      core.unmap(this, key, block * BLOCK_BYTES, BLOCK_BYTES);
    } else core.write(this, key, block * BLOCK_BYTES, BLOCK_BYTES, buffer, 0, 0, random.chance(0.1));
    core.submitBatch();
    return undefined;
  }
}
