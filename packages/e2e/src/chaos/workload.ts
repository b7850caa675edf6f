/**
 * Random reads, writes and flushes on one volume over NBD, with every answer held against the block-device contract.
 *
 * One request per block at a time, so that a repeated write (after a reconnect) is the same write. An EIO ends the
 * device until it is attached anew, as a disk that lost its cache; any other error is a failure of the run.
 *
 * The blocks lie in clusters of four neighbours, spread over the whole volume: regions (64 KiB) are shared by few, and
 * no two clusters share one. Requests are of one block or of several of a cluster.
 */
import {
  BLOCK_BYTES,
  BlockHistory,
  ContractViolation,
  blockContent,
  versionOf,
  type SnapshotContents,
} from '../block-history.ts';
import { NbdClient, NbdClosedError, NbdError } from '../nbd-client.ts';
import type { Random } from '../random.ts';

const EIO = 5;
const WORKERS = 4;
const HANDSHAKE_MS = 5_000;
const CLUSTER_BLOCKS = 4;

export class Workload {
  readonly history = new BlockHistory();
  readonly volume: string;
  /** the device answered EIO: it must be attached anew */
  deviceFailed = false;
  operations = 0;
  /** of the device that it was started on; '' = none */
  uri = '';
  private readonly seed: number;
  private readonly blocks: number;
  /** first bytes of neighbouring clusters are this far apart */
  private readonly strideBytes: number;
  private readonly random: Random;
  private client: NbdClient | null = null;
  private readonly busy = new Set<number>();
  private running = false;
  private workers: Promise<void>[] = [];
  private failure: Error | null = null;

  constructor(volume: string, seed: number, blocks: number, volumeBytes: number, random: Random) {
    this.volume = volume;
    this.seed = seed;
    this.blocks = blocks;
    this.strideBytes = volumeBytes / (blocks / CLUSTER_BLOCKS);
    this.random = random;
  }

  get isConnected(): boolean {
    return this.client !== null;
  }

  /** Begins (or goes on) against an endpoint. */
  async start(uri: string): Promise<void> {
    this.client = await NbdClient.open(uri, HANDSHAKE_MS);
    this.uri = uri;
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

  /** Reads every block that was ever written, then flushes. */
  async verify(): Promise<void> {
    const client = this.client;
    if (client === null) throw new Error('verify needs a connection');
    const left = this.history.blockNumbers();
    const readAll = async (): Promise<void> => {
      for (let block = left.pop(); block !== undefined; block = left.pop()) await this.readAndCheck(client, block, 1);
    };
    await Promise.all(Array.from({ length: WORKERS }, readAll));
    const point = this.history.flushPoint();
    await client.flush();
    this.history.flushed(point);
  }

  /** Reads another device that must hold what a snapshot of this one held. */
  async verifyCopy(uri: string, { possible }: SnapshotContents): Promise<void> {
    const client = await NbdClient.open(uri, HANDSHAKE_MS);
    try {
      for (const block of this.history.blockNumbers()) {
        const version = versionOf(this.seed, block, await client.read(this.offsetOf(block), BLOCK_BYTES));
        const allowed = possible.get(block) ?? new Set([0]);
        if (allowed.has(version)) continue;
        throw new ContractViolation(
          `block ${block} of the copy has version ${version}, possible were [${[...allowed].join(', ')}]`,
        );
      }
    } finally {
      client.close();
    }
  }

  private offsetOf(block: number): number {
    return Math.floor(block / CLUSTER_BLOCKS) * this.strideBytes + (block % CLUSTER_BLOCKS) * BLOCK_BYTES;
  }

  private async work(): Promise<void> {
    while (this.running && this.failure === null && !this.deviceFailed) {
      const first = this.random.below(this.blocks);
      const room = CLUSTER_BLOCKS - (first % CLUSTER_BLOCKS);
      const count = this.random.chance(0.3) ? 1 + this.random.below(room) : 1;
      const kind = this.random.next();
      const range = Array.from({ length: count }, (_, index) => first + index);
      if (range.some((block) => this.busy.has(block))) {
        await new Promise(setImmediate);
        continue;
      }
      for (const block of range) this.busy.add(block);
      try {
        await this.operate(first, count, kind);
        this.operations++;
      } catch (error) {
        if (error instanceof NbdError && error.errno === EIO) this.deviceFailed = true;
        else if (!(error instanceof NbdClosedError))
          this.failure ??= error instanceof Error ? error : new Error(String(error));
        return;
      } finally {
        for (const block of range) this.busy.delete(block);
      }
    }
  }

  private async operate(first: number, count: number, kind: number): Promise<void> {
    const client = this.client;
    if (client === null) return;
    if (kind < 0.6) {
      const versions = Array.from({ length: count }, (_, index) => this.history.begin(first + index));
      const contents = versions.map((version, index) => blockContent(this.seed, first + index, version));
      await client.write(this.offsetOf(first), Buffer.concat(contents));
      for (const [index, version] of versions.entries()) this.history.acknowledge(first + index, version);
    } else if (kind < 0.9) {
      await this.readAndCheck(client, first, count);
    } else {
      const point = this.history.flushPoint();
      await client.flush();
      this.history.flushed(point);
    }
  }

  private async readAndCheck(client: NbdClient, first: number, count: number): Promise<void> {
    const content = await client.read(this.offsetOf(first), count * BLOCK_BYTES);
    for (let index = 0; index < count; index++) {
      const part = content.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES);
      this.history.check(first + index, versionOf(this.seed, first + index, part));
    }
  }
}
