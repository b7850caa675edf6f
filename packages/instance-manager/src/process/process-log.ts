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
  /** null while the file cannot be opened (disk full) */
  private descriptor: number | null = null;
  private bytes = 0;
  private lostBytes = 0;
  private closed = false;

  constructor(folder: string, name: string, bytesMax: number = LOG_FILE_BYTES_MAX) {
    this.files = logFiles(folder, name);
    this.bytesMax = bytesMax;
    // A first attempt, so that a folder that cannot be written is known at once.
    this.guarded(0, () => this.opened());
  }

  append(chunk: Buffer): void {
    if (this.closed) return;
    this.guarded(chunk.length, () => {
      if (this.bytes + chunk.length > this.bytesMax && this.bytes > 0) this.rotate();
      const descriptor = this.opened();
      if (this.lostBytes > 0) {
        this.bytes += writeSync(descriptor, Buffer.from(`[${this.lostBytes} bytes of log lost: disk full]\n`));
        this.lostBytes = 0;
      }
      this.bytes += writeSync(descriptor, chunk);
    });
  }

  /** Runs `work`; a disk that takes nothing costs `bytes` of log and no more. */
  private guarded(bytes: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!isDiskTrouble(error)) throw error;
      this.lostBytes += bytes;
    }
  }

  private opened(): number {
    if (this.descriptor === null) {
      this.descriptor = openSync(this.files[0] ?? '', 'a', 0o644);
      this.bytes = fstatSync(this.descriptor).size;
    }
    return this.descriptor;
  }

  private rotate(): void {
    this.closeFile();
    for (let index = this.files.length - 1; index > 0; index--) {
      const from = this.files[index - 1] ?? '';
      if (existsSync(from)) renameSync(from, this.files[index] ?? '');
    }
  }

  private closeFile(): void {
    if (this.descriptor !== null) closeSync(this.descriptor);
    this.descriptor = null;
    this.bytes = 0;
  }

  /** Twice is fine; what is appended later is dropped. */
  close(): void {
    this.closed = true;
    this.closeFile();
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
