/**
 * The volumes over NBD on unix sockets, with blocks whose versions are kept outside in the place of file systems. Wants
 * no root.
 *
 *     block 0          the writer's: random writes, reads and flushes, each held against the block-device contract
 *     block BULK       written once, hashed
 *     block MARK       one text
 *     block SCRIBBLE   written without a flush until the power goes
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@longhorn/engine/testing/wait';
import { BLOCK_BYTES, BlockHistory, blockContent, versionOf } from '../block-history.ts';
import { NbdClient, NbdClosedError } from '../nbd-client.ts';
import { seededRandom, type Random } from '../random.ts';
import type { Medium, StoryWriter, Tenant } from './context.ts';

const WRITER_BLOCKS = 2048;
const BULK = 4096;
const BULK_BLOCKS = 8192;
const MARK = 16_384;
const SCRIBBLE = 16_448;
const SCRIBBLE_BLOCKS = 64;
/** What checksums cover. */
const USED_BLOCKS = 32_768;
const REQUEST_BLOCKS = 128;
const REQUESTS_IN_FLIGHT = 4;

/** Concurrent requests of a writer, and the pause after each: what is measured is the wait of one I/O, not the throughput. */
const WRITERS = 4;
const WRITER_PAUSE_MS = 5;

export class Blocks implements Medium {
  readonly promises = {
    fill: 'content whose versions are known outside, a writer that reads, writes and flushes',
    engineDies: 'the client connects anew and repeats, no I/O fails, every write is there',
    revert: 'the content is that of the snapshot',
  };
  private readonly seed: number;
  private readonly tenants = new Map<string, BlockTenant>();
  private readonly writers: BlockWriter[] = [];

  /** @param seed of contents and of the writer's choices */
  constructor(seed: number) {
    this.seed = seed;
  }

  tenant(volume: string): BlockTenant {
    let tenant = this.tenants.get(volume);
    if (tenant === undefined) this.tenants.set(volume, (tenant = new BlockTenant(this.seed + this.tenants.size)));
    return tenant;
  }

  write(volume: string): StoryWriter {
    const writer = new BlockWriter(this.tenant(volume).connected, this.seed);
    this.writers.push(writer);
    return writer;
  }

  async release(): Promise<void> {
    for (const writer of this.writers) writer.end();
    for (const tenant of this.tenants.values()) await tenant.lost();
  }
}

class BlockTenant implements Tenant {
  private readonly seed: number;
  private client: NbdClient | null = null;
  private scribbler: Scribbler | null = null;

  constructor(seed: number) {
    this.seed = seed;
  }

  get connected(): NbdClient {
    if (this.client === null) throw new Error('the volume is not in use');
    return this.client;
  }

  async begin(endpoint: string): Promise<void> {
    this.client = await NbdClient.open(endpoint, 30_000);
  }

  async end(): Promise<void> {
    await this.connected.flush();
    await this.lost();
  }

  async lost(): Promise<void> {
    this.client?.close();
    this.client = null;
    await this.scribbler?.ended;
  }

  async fill(): Promise<string> {
    const start = performance.now();
    await this.writeVersion(BULK, BULK_BLOCKS, 1);
    await this.connected.flush();
    await this.expectVersion(BULK, BULK_BLOCKS, 1);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    return `${(BULK_BLOCKS * BLOCK_BYTES) >> 20} MiB written and compared in ${seconds} s`;
  }

  private async writeVersion(first: number, count: number, version: number): Promise<void> {
    await inPieces(first, count, async (from, blocks) => {
      const content = Array.from({ length: blocks }, (_, i) => blockContent(this.seed, from + i, version));
      await this.connected.write(from * BLOCK_BYTES, Buffer.concat(content));
    });
  }

  /** Version of each block, in order. */
  private async versions(first: number, count: number): Promise<number[]> {
    const found = Array.from({ length: count }, () => -1);
    await inPieces(first, count, async (from, blocks) => {
      const content = await this.connected.read(from * BLOCK_BYTES, blocks * BLOCK_BYTES);
      for (let i = 0; i < blocks; i++)
        found[from - first + i] = versionOf(
          this.seed,
          from + i,
          content.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES),
        );
    });
    return found;
  }

  private async expectVersion(first: number, count: number, version: number): Promise<void> {
    const others = (await this.versions(first, count)).filter((found) => found !== version).length;
    if (others > 0) throw new Error(`${others} of ${count} blocks from ${first} on are not of version ${version}`);
  }

  async mark(text: string): Promise<void> {
    const content = Buffer.alloc(BLOCK_BYTES);
    content.write(text);
    await this.connected.write(MARK * BLOCK_BYTES, content);
    await this.connected.flush();
  }

  async readMark(): Promise<string> {
    const content = await this.connected.read(MARK * BLOCK_BYTES, BLOCK_BYTES);
    return content.toString('utf8').replace(/\0+$/, '');
  }

  checksum(): Promise<string> {
    return this.hash(USED_BLOCKS);
  }

  private async hash(blocks: number): Promise<string> {
    const hashes = Array.from({ length: Math.ceil(blocks / REQUEST_BLOCKS) }, () => '');
    await inPieces(0, blocks, async (from, count) => {
      const content = await this.connected.read(from * BLOCK_BYTES, count * BLOCK_BYTES);
      hashes[from / REQUEST_BLOCKS] = createHash('sha256').update(content).digest('hex');
    });
    return `SHA-256 ${createHash('sha256').update(hashes.join('')).digest('hex')} of ${(blocks * BLOCK_BYTES) >> 20} MiB`;
  }

  async change(): Promise<void> {
    await this.writeVersion(BULK, 256, 2);
    await this.connected.trim((BULK + 512) * BLOCK_BYTES, 256 * BLOCK_BYTES);
    await this.writeVersion(SCRIBBLE + SCRIBBLE_BLOCKS, 256, 2);
    await this.connected.flush();
  }

  async scribble(): Promise<void> {
    this.scribbler = new Scribbler(this.connected, this.seed);
    await this.scribbler.firstPass;
  }

  async scribbled(): Promise<string> {
    if (this.scribbler === null) throw new Error('nothing was scribbled');
    return this.scribbler.judge(await this.versions(SCRIBBLE, SCRIBBLE_BLOCKS));
  }

  async inspect(): Promise<void> {
    const blocks = this.connected.sizeBytes / BLOCK_BYTES;
    const first = await this.hash(blocks);
    if ((await this.hash(blocks)) !== first) throw new Error('two reads of the device differ');
    await this.end();
  }
}

/** Works on a range in pieces of one request, a few at a time. */
async function inPieces(
  first: number,
  count: number,
  work: (from: number, blocks: number) => Promise<void>,
): Promise<void> {
  let next = first;
  const end = first + count;
  const lane = async (): Promise<void> => {
    while (next < end) {
      const from = next;
      const blocks = Math.min(REQUEST_BLOCKS, end - from);
      next += blocks;
      await work(from, blocks);
    }
  };
  await Promise.all(Array.from({ length: REQUESTS_IN_FLIGHT }, lane));
}

/**
 * Writes blocks round and round, each time with a new version and never with a flush, until its client is closed. A replica
 * syncs by itself a second after a write, so only what is still being written when the power goes is sure to be lost.
 */
class Scribbler {
  /** Every block was written once. Rejects with the failure of a write. */
  readonly firstPass: Promise<void>;
  /** No write is under way any more. */
  readonly ended: Promise<void>;
  private readonly client: NbdClient;
  private readonly seed: number;
  /** versions by block, the last one that a write was begun with and the last one that was acknowledged */
  private readonly begun = Array.from({ length: SCRIBBLE_BLOCKS }, () => 0);
  private readonly acknowledged = Array.from({ length: SCRIBBLE_BLOCKS }, () => 0);
  private failure: unknown = null;

  constructor(client: NbdClient, seed: number) {
    this.client = client;
    this.seed = seed;
    this.firstPass = this.pass(1);
    this.ended = this.firstPass.then(() => this.goOn()).catch((error: unknown) => void (this.failure = error));
  }

  private async pass(version: number): Promise<void> {
    for (let block = 0; block < SCRIBBLE_BLOCKS; block++) {
      this.begun[block] = version;
      const content = blockContent(this.seed, SCRIBBLE + block, version);
      await this.client.write((SCRIBBLE + block) * BLOCK_BYTES, content);
      this.acknowledged[block] = version;
    }
  }

  private async goOn(): Promise<void> {
    for (let version = 2; ; version++) await this.pass(version);
  }

  /** Throws unless each block has an old version or one that was written, and some lost what was acknowledged. */
  judge(found: readonly number[]): string {
    if (!(this.failure instanceof NbdClosedError))
      throw new Error('the unflushed writes ended before the power went', { cause: this.failure });
    const unknown = found.filter((version, block) => version > (this.begun[block] ?? 0));
    if (unknown.length > 0)
      throw new Error(`unflushed blocks hold versions that were never written: ${unknown.join()}`);
    const lost = found.filter((version, block) => version < (this.acknowledged[block] ?? 0)).length;
    // A power-cut that loses nothing would be no more than a kill.
    if (lost === 0) throw new Error('the power-cut lost no unflushed block');
    return `${lost} of ${SCRIBBLE_BLOCKS} unflushed blocks were lost`;
  }
}

/** Random I/O within the first blocks. Each lane has blocks of its own, so a request that is repeated is the same one. */
class BlockWriter implements StoryWriter {
  private readonly client: NbdClient;
  private readonly seed: number;
  private readonly history = new BlockHistory();
  /** milliseconds that each acknowledged I/O took, in the order of their ends */
  private readonly tookMs: number[] = [];
  private lanesLeft = WRITERS;
  private running = true;
  private isEnded = false;
  private failure: unknown = null;

  constructor(client: NbdClient, seed: number) {
    this.client = client;
    this.seed = seed;
    for (let lane = 0; lane < WRITERS; lane++)
      void this.work(lane, seededRandom(seed + lane)).finally(() => this.lanesLeft--);
  }

  private async work(lane: number, random: Random): Promise<void> {
    while (this.running && this.failure === null) {
      const block = random.below(WRITER_BLOCKS / WRITERS) * WRITERS + lane;
      const start = performance.now();
      try {
        await this.operate(block, random.next());
      } catch (error) {
        // A writer that was ended does not mind that its client is.
        if (!this.isEnded) this.failure ??= error;
        return;
      }
      this.tookMs.push(performance.now() - start);
      await delay(WRITER_PAUSE_MS);
    }
  }

  private async operate(block: number, kind: number): Promise<void> {
    if (kind < 0.6) {
      const version = this.history.begin(block);
      await this.client.write(block * BLOCK_BYTES, blockContent(this.seed, block, version));
      this.history.acknowledge(block, version);
    } else if (kind < 0.9) await this.check(block);
    else {
      const point = this.history.flushPoint();
      await this.client.flush();
      this.history.flushed(point);
    }
  }

  private async check(block: number): Promise<void> {
    const content = await this.client.read(block * BLOCK_BYTES, BLOCK_BYTES);
    this.history.check(block, versionOf(this.seed, block, content));
  }

  /** I/Os answered so far. */
  point(): number {
    return this.tookMs.length;
  }

  async longestMs(from: number, to?: number): Promise<number> {
    // Each lane has had an answer since.
    if (to === undefined) await this.progress(2 * WRITERS, 30_000);
    return this.tookMs.slice(from, to).reduce((longest, ms) => Math.max(longest, ms), 0);
  }

  private assertAlive(): void {
    if (this.failure !== null) throw new Error('the writer saw an error', { cause: this.failure });
  }

  async progress(count: number, timeoutMs: number): Promise<void> {
    const target = this.point() + count;
    await waitFor(`${count} more I/Os are answered`, timeoutMs, () =>
      Promise.resolve(this.failure !== null || this.point() >= target),
    );
    this.assertAlive();
  }

  async stop(): Promise<string> {
    this.running = false;
    await waitFor('the last I/Os are answered', 30_000, () => Promise.resolve(this.lanesLeft === 0));
    this.assertAlive();
    const blocks = this.history.blockNumbers();
    for (let pass = 0; pass < 2; pass++) for (const block of blocks) await this.check(block);
    return `${this.point()} I/Os on ${blocks.length} blocks, every write is there, over ${this.client.connections} connections`;
  }

  /** Ends it whatever its state. */
  end(): void {
    this.isEnded = true;
    this.running = false;
  }
}
