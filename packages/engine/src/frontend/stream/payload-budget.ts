/** Bytes of payloads that all connections of an export may have in progress together; who gets none waits its turn. */
export interface BudgetHolder {
  /** There may be room again. */
  continue(): void;
}

export class PayloadBudget {
  private used = 0;
  private readonly max: number;
  private readonly waiting = new Set<BudgetHolder>();

  constructor(maxBytes: number) {
    this.max = maxBytes;
  }

  take(holder: BudgetHolder, bytes: number): boolean {
    if (bytes > 0 && this.used + bytes > this.max) {
      this.waiting.add(holder);
      return false;
    }
    this.used += bytes;
    return true;
  }

  release(bytes: number): void {
    this.used -= bytes;
  }

  /** Lets those go on that wait, while there is room. */
  wake(): void {
    if (this.waiting.size === 0) return;
    const holders = [...this.waiting];
    this.waiting.clear();
    for (const holder of holders) holder.continue();
  }

  forget(holder: BudgetHolder): void {
    this.waiting.delete(holder);
  }
}
