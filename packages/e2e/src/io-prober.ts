/**
 * `node io-prober.ts DEVICE OFFSET JOURNAL`: single I/Os of 4 KiB past every cache, a read and a write by turns, and how long each
 * took. The 64 KiB from OFFSET must belong to nobody else. Ends on SIGTERM; an error of the device ends it with 1.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, closeSync, constants, existsSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { waitFor } from '@longhorn/engine/testing/wait';

const BLOCK_BYTES = 4096;
export const PROBED_BYTES = 65_536;
const PAUSE_MS = 50;
/** Direct I/O wants memory that is aligned to what the device wants, at most this. */
const ALIGNMENT_MAX = 4096;

function systemError(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** A block of memory that the device takes for direct I/O: found by trying, since a program cannot see addresses here. */
function alignedBlock(fd: number, offset: number): Buffer {
  const memory = Buffer.alloc(1 << 20);
  for (let at = 0; at < ALIGNMENT_MAX; at += 8) {
    const block = memory.subarray(at, at + BLOCK_BYTES);
    try {
      // A read of a hole would take any.
      writeSync(fd, block, 0, BLOCK_BYTES, offset);
      return block;
    } catch (error) {
      if (systemError(error) !== 'EINVAL') throw error;
    }
  }
  throw new Error('the device takes no direct I/O');
}

/** Lines of the journal: begin and end, in milliseconds since 1970, and what it was. */
function probe(device: string, offset: number, journal: string): void {
  const fd = openSync(device, constants.O_RDWR | constants.O_DIRECT);
  const block = alignedBlock(fd, offset);
  const now = (): number => performance.timeOrigin + performance.now();
  let [count, stopping] = [0, false];
  process.on('SIGTERM', () => {
    stopping = true;
  });
  const step = (): void => {
    if (stopping) {
      closeSync(fd);
      process.exit(0);
    }
    const isRead = count % 2 === 0;
    const at = offset + (((count >> 1) * BLOCK_BYTES) % PROBED_BYTES);
    if (!isRead) block.fill(count & 0xff);
    const begin = now();
    if (isRead) readSync(fd, block, 0, BLOCK_BYTES, at);
    else writeSync(fd, block, 0, BLOCK_BYTES, at);
    appendFileSync(journal, `${begin.toFixed(1)} ${now().toFixed(1)} ${isRead ? 'read' : 'write'}\n`);
    count++;
    setTimeout(step, PAUSE_MS);
  };
  step();
}

/** The longest single I/O that ended between two times (milliseconds since 1970), and how many there were. */
export function longestProbe(
  journal: string,
  fromMs: number,
  toMs = Infinity,
): { ms: number; what: string; count: number; endMs: number } {
  const text = existsSync(journal) ? readFileSync(journal, 'utf8') : '';
  const probes = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '))
    .map(([begin, end, what]) => ({ endMs: Number(end), ms: Number(end) - Number(begin), what: what ?? '' }))
    .filter(({ endMs }) => endMs > fromMs && endMs <= toMs);
  const longest = probes.reduce((max, one) => (one.ms > max.ms ? one : max), { endMs: 0, ms: 0, what: 'nothing' });
  return { ...longest, count: probes.length };
}

/** The prober as a process of its own. */
export class IoProber {
  private readonly journal: string;
  private readonly child: ChildProcess;
  private ended: string | null = null;
  private errors = '';

  constructor(device: string, offset: number, journal: string) {
    this.journal = journal;
    this.child = spawn(process.execPath, [import.meta.filename, device, String(offset), journal], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.errors = (this.errors + chunk.toString()).slice(-2000);
    });
    this.child.on('exit', (code, signal) => {
      this.ended = `${code ?? signal}`;
    });
  }

  /** The longest single I/O that ended between two times (milliseconds since 1970; to: now), in milliseconds. Fails if the device gave an error. */
  async longestMs(fromMs: number, toMs?: number): Promise<number> {
    // One that still waits counts when it has ended.
    const lookedMs = Date.now();
    if (toMs === undefined)
      await waitFor('a single I/O goes through', 60_000, () =>
        Promise.resolve(this.ended !== null || longestProbe(this.journal, lookedMs).count > 1),
      );
    if (this.ended !== null) throw new Error(`the prober ended with ${this.ended}: ${this.errors}`);
    return longestProbe(this.journal, fromMs, toMs).ms;
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await waitFor('the prober ends', 30_000, () => Promise.resolve(this.ended !== null));
    if (this.ended !== '0') throw new Error(`the prober ended with ${this.ended}: ${this.errors}`);
  }

  /** Ends it whatever its state, for clean-up. */
  kill(): void {
    this.child.kill('SIGKILL');
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , device, offset, journal] = process.argv;
  if (device === undefined || offset === undefined || journal === undefined)
    throw new Error('usage: io-prober DEVICE OFFSET JOURNAL');
  probe(device, Number(offset), journal);
}
