/** Runs asynchronous work one after another, in the order of calls. */

export class SerialQueue {
  private tail: Promise<unknown> = Promise.resolve();
  private waiting = 0;
  private readonly waitingMax: number;

  constructor(waitingMax: number) {
    this.waitingMax = waitingMax;
  }

  /** Runs `work` after all that was given before has ended, however it ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    if (this.waiting >= this.waitingMax) {
      return Promise.reject(new Error(`too many operations wait for their turn (${this.waiting}); try again later`));
    }
    this.waiting++;
    const result = this.tail.then(work);
    const settled = (): void => {
      this.waiting--;
    };
    this.tail = result.then(settled, settled);
    return result;
  }
}
