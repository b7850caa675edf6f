/** What the story's steps share. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cluster } from '../cluster.ts';
import { run, ShellError } from '../shell.ts';
import type { System } from '../volumes.ts';
import { readJournal } from '../sqlite-writer.ts';
import { waitFor } from '../wait.ts';

export const GIB = 2 ** 30;

export interface StoryContext extends System {
  cluster: Cluster;
  /** scratch folder outside the volumes */
  workDir: string;
  /** tree to copy onto the volume */
  tree: string;
  log: (text: string) => void;
  /** figures that the demo prints at the end: name -> text */
  figures: Map<string, string>;
}

export interface Step {
  title: string;
  run: (context: StoryContext) => Promise<void>;
}

/** The SQLite writer as a process of its own. */
export class Writer {
  readonly journal: string;
  private readonly child: ChildProcess;
  private readonly logPath: string;
  private ended: { code: number | null; signal: string | null } | null = null;

  constructor(context: StoryContext, database: string, name: string) {
    mkdirSync(context.workDir, { recursive: true });
    this.journal = join(context.workDir, `${name}.journal`);
    this.logPath = join(context.workDir, `${name}.log`);
    const log = openSync(this.logPath, 'a');
    const program = resolve(fileURLToPath(import.meta.url), '../../sqlite-writer.ts');
    this.child = spawn(process.execPath, [program, database, this.journal], { stdio: ['ignore', log, log] });
    this.child.on('exit', (code, signal) => {
      this.ended = { code, signal };
    });
  }

  /** Rows committed so far. */
  rows(): number {
    try {
      return readJournal(this.journal).committed.length;
    } catch {
      return 0; // no row yet, no journal yet
    }
  }

  /** Longest commit since the row count `from`, in milliseconds. */
  longestMs(from: number): number {
    return readJournal(this.journal, from).longestMs;
  }

  /** Fails if the writer has ended; waits until it committed `count` more rows. */
  async progress(count: number, timeoutMs: number): Promise<void> {
    const target = this.rows() + count;
    await waitFor(`the writer commits ${count} more rows`, timeoutMs, async () => {
      await this.assertAlive();
      return this.rows() >= target;
    });
  }

  async assertAlive(): Promise<void> {
    if (this.ended === null) return;
    throw new Error(`the SQLite writer saw an error:\n${await run('tail', ['-5', this.logPath])}`);
  }

  /** Ends the writer; it must not have failed. */
  async stop(): Promise<void> {
    await this.assertAlive();
    this.child.kill('SIGTERM');
    await waitFor('the writer ends', 30_000, () => Promise.resolve(this.ended !== null));
    if (this.ended?.code !== 0) throw new Error(`the SQLite writer ended with ${JSON.stringify(this.ended)}`);
  }

  /** Ends it whatever its state, for clean-up. */
  kill(): void {
    this.child.kill('SIGKILL');
  }
}

export async function mount(device: string, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await run('mount', [device, folder]);
}

export async function unmount(folder: string): Promise<void> {
  await run('umount', [folder]);
}

/** A forced file system check that changes nothing; throws with its output when it finds something. */
export async function fsck(device: string): Promise<void> {
  try {
    await run('fsck.ext4', ['-f', '-n', device]);
  } catch (error) {
    throw new ShellError(`the file system on ${device} is not clean`, { cause: error });
  }
}

/** Unmounts what a failed story left mounted below its scratch folder. */
export async function releaseMounts(context: StoryContext): Promise<void> {
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${context.workDir}/`));
  for (const path of mounts) await run('umount', ['-l', path]);
}
