/** The volume with promises, for commands that are rare: everything but plain reads, writes and flushes. Errors are errnos. */
import type { Buffer } from 'node:buffer';
import type { BlockTarget, CompletionSink } from '../frontend.ts';

export class VolumeIo implements CompletionSink {
  private readonly target: BlockTarget;
  private readonly waiting = new Map<number, (errno: number) => void>();
  private nextSlot = 0;

  constructor(target: BlockTarget) {
    this.target = target;
  }

  /** Reads into a new buffer, and answers the errno. */
  read(offset: number, into: Buffer): Promise<number> {
    return this.submit((slot) => this.target.read(this, slot, offset, into.length, into, 0));
  }

  write(offset: number, from: Buffer, isFua: boolean): Promise<number> {
    return this.submit((slot) => this.target.write(this, slot, offset, from.length, from, 0, 0, isFua));
  }

  unmap(offset: number, length: number): Promise<number> {
    return this.submit((slot) => this.target.unmap(this, slot, offset, length));
  }

  flush(): Promise<number> {
    return this.submit((slot) => this.target.flush(this, slot));
  }

  complete(slot: number, errno: number): void {
    const done = this.waiting.get(slot);
    this.waiting.delete(slot);
    done?.(errno);
  }

  flushCompletions(): void {
    // Whoever waits goes on by itself, and submits what it has.
  }

  private submit(start: (slot: number) => void): Promise<number> {
    return new Promise((resolve) => {
      do this.nextSlot = (this.nextSlot + 1) & 0xffff;
      while (this.waiting.has(this.nextSlot));
      const slot = this.nextSlot;
      this.waiting.set(slot, resolve);
      start(slot);
      this.target.submitBatch();
    });
  }
}
