/** Operations that cannot be sent yet, in order of submission: linked through `next` of the table, so nothing is allocated. */
import * as Op from './op-table.ts';

export class WaitingList {
  private readonly ops: Op.OpTable;
  /** 0 = nothing waits. */
  head = 0;
  private tail = 0;

  constructor(ops: Op.OpTable) {
    this.ops = ops;
  }

  append(i: number): void {
    const { ops } = this;
    ops.state[i] = Op.STATE_WAITING;
    ops.next[i] = 0;
    if (this.tail === 0) this.head = i;
    else ops.next[this.tail] = i;
    this.tail = i;
  }

  /** Puts operations, which keep their order, before all that wait. */
  prepend(operations: readonly number[]): void {
    const { ops } = this;
    for (const i of operations.toReversed()) {
      ops.state[i] = Op.STATE_WAITING;
      ops.next[i] = this.head;
      this.head = i;
      if (this.tail === 0) this.tail = i;
    }
  }

  /** Takes those out of the list that `start` could start. Walks in place: `hasChangeBefore` looks at what is still in it. */
  retry(start: (i: number) => boolean): void {
    const { ops } = this;
    let previous = 0;
    for (let i = this.head; i !== 0;) {
      const next = ops.next[i] as number;
      if (!start(i)) {
        previous = i;
        i = ops.next[i] as number;
        continue;
      }
      if (previous === 0) this.head = next;
      else ops.next[previous] = next;
      if (this.tail === i) this.tail = previous;
      i = next;
    }
  }

  /** A write or unmap that overlaps the range waits before `i`. */
  hasChangeBefore(i: number, offset: number, length: number): boolean {
    const { ops } = this;
    for (let k = this.head; k !== 0 && k !== i; k = ops.next[k] as number) {
      const isChange = ops.kind[k] === Op.KIND_WRITE || ops.kind[k] === Op.KIND_UNMAP;
      if (isChange && ops.overlaps(k, offset, length)) return true;
    }
    return false;
  }

  /** All have ended by other means. */
  clear(): void {
    this.head = 0;
    this.tail = 0;
  }
}
