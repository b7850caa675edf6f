/**
 * Random reads, writes and flushes on one volume over NBD, with every answer held against the block-device contract.
 *
 * One request per block at a time, so that a repeated write (after a reconnect) is the same write. An EIO ends the
 * device until it is attached anew, as a disk that lost its cache; any other error is a failure of the run.
 */
import { BLOCK_BYTES, BlockHistory, blockContent, versionOf } from '../block-history.ts';
import { NbdClient, NbdError } from '../nbd-client.ts';
import type { Random } from '../random.ts';

const EIO = 5;
const WORKERS = 4;

export class Workload {
  readonly history = new BlockHistory();
  readonly volume: string;
  /** the device answered EIO: it must be attached anew */
  deviceFailed = false;
  operations = 0;
  private readonly seed: number;
  private readonly blocks: number;
  private readonly random: Random;
  private client: NbdClient | null = null;
  private readonly busy = new Set<number>();
  private running = false;
  private workers: Promise<void>[] = [];
  private failure: Error | null = null;

  constructor(volume: string, seed: number, blocks: number, random: Random) {
    this.volume = volume;
    this.seed = seed;
    this.blocks = blocks;
    this.random = random;
  }

  /** Begins (or goes on) against an endpoint. */
  async start(uri: string): Promise<void> {
    this.client = await NbdClient.open(uri, 30_000);
    this.deviceFailed = false;
    this.running = true;
    this.workers = Array.from({ length: WORKERS }, () => this.work());
  }

  /** Stops submitting and waits for what is under way; throws the first violation. */
  async pause(timeoutMs: number): Promise<void> {
    this.running = false;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`I/O on ${this.volume} hangs for more than ${timeoutMs} ms`)),
        timeoutMs,
      );
    });
    await Promise.race([Promise.all(this.workers), late]).finally(() => clearTimeout(timer));
    if (this.failure !== null) throw this.failure;
  }

  /** Ends the connection; the next start begins a new one. */
  disconnect(): void {
    this.running = false;
    this.client?.close();
    this.client = null;
  }

  /** Reads every block that was ever written. */
  async verify(): Promise<void> {
    const client = this.client;
    if (client === null) throw new Error('verify needs a connection');
    for (const block of this.history.blockNumbers()) {
      this.history.check(block, versionOf(this.seed, block, await client.read(block * BLOCK_BYTES, BLOCK_BYTES)));
    }
    const point = this.history.flushPoint();
    await client.flush();
    this.history.flushed(point);
  }

  private async work(): Promise<void> {
    while (this.running && this.failure === null && !this.deviceFailed) {
      const block = this.random.below(this.blocks);
      const kind = this.random.next();
      if (this.busy.has(block)) {
        await new Promise(setImmediate);
        continue;
      }
      this.busy.add(block);
      try {
        await this.operate(block, kind);
        this.operations++;
      } catch (error) {
        if (error instanceof NbdError && error.errno === EIO) this.deviceFailed = true;
        else if (this.client !== null) this.failure ??= error instanceof Error ? error : new Error(String(error));
        return;
      } finally {
        this.busy.delete(block);
      }
    }
  }

  private async operate(block: number, kind: number): Promise<void> {
    const client = this.client;
    if (client === null) return;
    if (kind < 0.6) {
      const version = this.history.begin(block);
      await client.write(block * BLOCK_BYTES, blockContent(this.seed, block, version));
      this.history.acknowledge(block, version);
    } else if (kind < 0.9) {
      const content = await client.read(block * BLOCK_BYTES, BLOCK_BYTES);
      this.history.check(block, versionOf(this.seed, block, content));
    } else {
      const point = this.history.flushPoint();
      await client.flush();
      this.history.flushed(point);
    }
  }
}
