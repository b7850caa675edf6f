/**
 * The log of one process: `<folder>/<name>.log`, then `.log.1` and `.log.2` (oldest), each at most 20 MiB.
 *
 * Writes go to the page cache and are not synced. A full disk loses log lines, never the process: what could not be
 * written is counted and told in the log once writing works again.
 */
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { LOG_FILE_BYTES_MAX, LOG_FILES_PER_PROCESS, LOG_LINE_BYTES_MAX } from '../limits.ts';

/** Files of a process's log, newest first; they need not exist. */
export function logFiles(folder: string, name: string): string[] {
  const files = [join(folder, `${name}.log`)];
  for (let index = 1; index < LOG_FILES_PER_PROCESS; index++) files.push(join(folder, `${name}.log.${index}`));
  return files;
}

export class ProcessLog {
  private readonly files: string[];
  private readonly bytesMax: number;
  private descriptor: number;
  private bytes: number;
  private lostBytes = 0;
  private closed = false;

  constructor(folder: string, name: string, bytesMax: number = LOG_FILE_BYTES_MAX) {
    this.files = logFiles(folder, name);
    this.bytesMax = bytesMax;
    this.descriptor = this.open();
    this.bytes = fstatSync(this.descriptor).size;
  }

  private open(): number {
    return openSync(this.files[0] ?? '', 'a', 0o644);
  }

  append(chunk: Buffer): void {
    if (this.closed) return;
    try {
      if (this.bytes + chunk.length > this.bytesMax && this.bytes > 0) this.rotate();
      if (this.lostBytes > 0) {
        const note = Buffer.from(`[${this.lostBytes} bytes of log lost: disk full]\n`);
        this.bytes += writeSync(this.descriptor, note);
        this.lostBytes = 0;
      }
      this.bytes += writeSync(this.descriptor, chunk);
    } catch (error) {
      if (!isDiskTrouble(error)) throw error;
      this.lostBytes += chunk.length;
    }
  }

  private rotate(): void {
    for (let index = this.files.length - 1; index > 0; index--) {
      const from = this.files[index - 1] ?? '';
      if (existsSync(from)) renameSync(from, this.files[index] ?? '');
    }
    const next = this.open();
    closeSync(this.descriptor);
    this.descriptor = next;
    this.bytes = 0;
  }

  /** Twice is fine; what is appended later is dropped. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    closeSync(this.descriptor);
  }
}

function isDiskTrouble(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EIO' || code === 'EROFS';
}

/** Lines of a process's log, oldest first, up to what is there now; lines over the limit come in pieces. */
export async function* logLines(folder: string, name: string): AsyncGenerator<string> {
  for (const file of logFiles(folder, name).toReversed()) {
    if (existsSync(file)) yield* fileLines(file);
  }
}

async function* fileLines(file: string): AsyncGenerator<string> {
  const size = statSync(file).size;
  if (size === 0) return;
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { end: size - 1 })) {
    let data = Buffer.concat([rest, chunk as Buffer]);
    for (let end = cut(data); end > 0; end = cut(data)) {
      const isLine = data[end - 1] === 10;
      yield data.toString('utf8', 0, isLine ? end - 1 : end);
      data = data.subarray(end);
    }
    rest = Buffer.from(data);
  }
  if (rest.length > 0) yield rest.toString('utf8');
}

/** Where the first line or full piece ends, or 0. */
function cut(data: Buffer): number {
  const newline = data.indexOf(10);
  if (newline >= 0 && newline < LOG_LINE_BYTES_MAX) return newline + 1;
  return data.length >= LOG_LINE_BYTES_MAX ? LOG_LINE_BYTES_MAX : 0;
}

/** Deletes the oldest log files beyond `filesMax`, but none of a process in `names`. */
export function pruneLogs(folder: string, names: ReadonlySet<string>, filesMax: number): void {
  const files = readdirSync(folder).filter((file) => /\.log(\.\d)?$/.test(file));
  const excess = files.length - filesMax;
  if (excess <= 0) return;
  const free = files
    .filter((file) => !names.has(file.replace(/\.log(\.\d)?$/, '')))
    .map((file) => ({ path: join(folder, file), modifiedMs: statSync(join(folder, file)).mtimeMs }))
    .toSorted((a, b) => a.modifiedMs - b.modifiedMs);
  for (const { path } of free.slice(0, excess)) rmSync(path, { force: true });
}
