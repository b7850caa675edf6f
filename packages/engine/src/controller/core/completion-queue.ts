/** Operations that are done and not yet told to who submitted them; and other calls that are due then. */
import type { CompletionSink } from '../../frontend/frontend.ts';
import * as Op from './op-table.ts';

export class CompletionQueue {
  private readonly ops: Op.OpTable;
  // Linked through `next` of the table.
  private head = 0;
  private tail = 0;
  private readonly calls: (() => void)[] = [];
  private readonly touched: CompletionSink[] = [];

  constructor(ops: Op.OpTable) {
    this.ops = ops;
  }

  isEmpty(): boolean {
    return this.head === 0 && this.calls.length === 0;
  }

  add(i: number, errno: number): void {
    const { ops } = this;
    ops.state[i] = Op.STATE_DONE;
    ops.errno[i] = errno;
    ops.next[i] = 0;
    if (this.tail === 0) this.head = i;
    else ops.next[this.tail] = i;
    this.tail = i;
  }

  addCall(run: () => void): void {
    this.calls.push(run);
  }

  /** Tells completions, and when there were none the other calls; false: there was nothing. */
  deliver(): boolean {
    if (this.head === 0) {
      if (this.calls.length === 0) return false;
      for (const run of this.calls.splice(0)) run();
      return true;
    }
    const { ops, touched } = this;
    let last: CompletionSink | null = null;
    while (this.head !== 0) {
      const i = this.head;
      this.head = ops.next[i] as number;
      if (this.head === 0) this.tail = 0;
      const sink = ops.sink[i] as CompletionSink | null;
      const slot = ops.slot[i] as number;
      const errno = ops.errno[i] as number;
      ops.release(i);
      if (sink === null) continue;
      sink.complete(slot, errno);
      if (sink === last) continue;
      last = sink;
      if (!touched.includes(sink)) touched.push(sink);
    }
    for (let k = 0; k < touched.length; k++) (touched[k] as CompletionSink).flushCompletions();
    touched.length = 0;
    return true;
  }
}
