/**
 * Log files of containers: written line by line with time and stream, rotated by size, read for `kubectl logs`.
 *
 * A line in the file is `<RFC 3339 time> <stdout|stderr> F <text>`, as container runtimes write it.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { logFileBytesMax, logFilesKept, logLineBytesMax } from '../limits.ts';

export type LogListener = (line: string) => void;

export class PodLogFile {
  readonly #path: string;
  readonly #now: () => Date;
  readonly #listeners = new Set<LogListener>();
  #file: number;
  #size: number;
  #closed = false;

  constructor(path: string, now: () => Date) {
    mkdirSync(dirname(path), { recursive: true });
    this.#path = path;
    this.#now = now;
    this.#file = openSync(path, 'a', 0o640);
    this.#size = statSync(path).size;
  }

  write(stream: 'stdout' | 'stderr', text: string): void {
    // Pipes of a container may say more after its pod is gone.
    if (this.#closed) return;
    const line = `${this.#now().toISOString()} ${stream} F ${text}\n`;
    if (this.#size > logFileBytesMax) this.#rotate();
    this.#size += writeSync(this.#file, line);
    for (const listener of this.#listeners) listener(line);
  }

  #rotate(): void {
    closeSync(this.#file);
    for (let index = logFilesKept; index >= 1; index--) {
      const from = index === 1 ? this.#path : `${this.#path}.${index - 1}`;
      if (existsSync(from)) renameSync(from, `${this.#path}.${index}`);
    }
    this.#file = openSync(this.#path, 'a', 0o640);
    this.#size = 0;
  }

  /** Copies a stream, cut into lines. */
  take(stream: 'stdout' | 'stderr', source: Readable): void {
    let rest = '';
    source.setEncoding('utf8');
    source.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      while (rest.length > logLineBytesMax) {
        lines.push(rest.slice(0, logLineBytesMax));
        rest = rest.slice(logLineBytesMax);
      }
      for (const line of lines) this.write(stream, line);
    });
    source.once('close', () => {
      if (rest !== '') this.write(stream, rest);
      rest = '';
    });
  }

  follow(listener: LogListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#file);
  }
}

/** The path of a container's log. */
export const podLogPath = (podLogs: string, namespace: string, pod: string, uid: string, container: string): string =>
  join(podLogs, `${namespace}_${pod}_${uid}`, `${container}.log`);

export interface LogOptions {
  tailLines: number | null;
  sinceTime: string | null;
  timestamps: boolean;
  limitBytes: number | null;
}

/** A stored line as kubectl shows it; `null`: before the wanted time. */
export function shownLine(line: string, options: LogOptions): string | null {
  const [time = '', , , ...words] = line.split(' ');
  if (options.sinceTime !== null && time < options.sinceTime) return null;
  const text = words.join(' ');
  return options.timestamps ? `${time} ${text}` : text;
}

/** The stored lines that a request asks for. */
export function readLog(path: string, options: LogOptions): string {
  const files = [...Array(logFilesKept).keys()].map((index) => `${path}.${logFilesKept - index}`);
  const lines = [...files, path]
    .filter(existsSync)
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => shownLine(line, options))
    .filter((line) => line !== null);
  const wanted = options.tailLines === null ? lines : lines.slice(Math.max(0, lines.length - options.tailLines));
  const text = wanted.map((line) => `${line}\n`).join('');
  return options.limitBytes === null ? text : text.slice(0, options.limitBytes);
}

/** Removes logs of pods that are gone; the newest `kept` folders stay for reading after the fact. */
export function pruneLogs(podLogs: string, present: ReadonlySet<string>, kept: number): void {
  if (!existsSync(podLogs)) return;
  const old = readdirSync(podLogs)
    .filter((name) => !present.has(name.split('_').at(-1) ?? ''))
    .map((name) => ({ name, at: statSync(join(podLogs, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const { name } of old.slice(kept)) rmSync(join(podLogs, name), { recursive: true, force: true });
}
