/**
 * Processes by the marks in their environment.
 *
 * A process is ours when its environment holds our mark: it does not matter who started it, or whether its parent still
 * lives. Environments are read without waiting for ever: a process in the middle of an exec from a file system that hangs
 * blocks whoever looks at it.
 */
import { readdir, readFile } from 'node:fs/promises';
import { killRoundMs, killRoundsMax } from '../limits.ts';
import type { After } from '../api/environment.ts';

/** Longest wait for one environment. */
const readMsMax = 500;

export class Processes {
  readonly #after: After;
  /** processes that could not be looked at; not tried again, as each try holds a thread */
  readonly #stuck = new Set<number>();

  constructor(after: After) {
    this.#after = after;
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.#after(milliseconds, resolve));
  }

  async #environment(pid: number): Promise<string> {
    // Errors: the process has ended, or belongs to somebody else.
    const read = readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    const text = await Promise.race([read, this.#wait(readMsMax).then(() => null)]);
    if (text !== null) return text;
    this.#stuck.add(pid);
    void read.then(() => this.#stuck.delete(pid));
    return '';
  }

  /** Process ids whose environment has the variable with a value that starts with `prefix`. */
  async marked(variable: string, prefix: string): Promise<number[]> {
    const wanted = `${variable}=${prefix}`;
    const pids = (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => pid !== process.pid && !this.#stuck.has(pid));
    const found: number[] = [];
    for (const pid of pids) {
      const text = await this.#environment(pid);
      if (text.startsWith(wanted) || text.includes(`\0${wanted}`)) found.push(pid);
    }
    return found;
  }

  #signal(pids: readonly number[], signal: NodeJS.Signals): void {
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
      }
    }
  }

  /** Stops all marked processes in their tracks, also those that they start meanwhile. */
  async freeze(variable: string, prefix: string): Promise<void> {
    const seen = new Set<number>();
    for (let round = 0; round < killRoundsMax; round++) {
      const fresh = (await this.marked(variable, prefix)).filter((pid) => !seen.has(pid));
      if (fresh.length === 0) return;
      this.#signal(fresh, 'SIGSTOP');
      for (const pid of fresh) seen.add(pid);
    }
  }

  /** Asks those of the marked processes to end whose command line is chosen, and waits at most this long for them. */
  async ask(variable: string, prefix: string, chosen: (argv: string[]) => boolean, limitMs: number): Promise<void> {
    const pids: number[] = [];
    for (const pid of await this.marked(variable, prefix)) {
      // Errors: it has ended meanwhile.
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      if (chosen(line.split('\0'))) pids.push(pid);
    }
    this.#signal(pids, 'SIGTERM');
    for (let waited = 0; waited < limitMs && pids.length > 0; waited += killRoundMs * 5) {
      const left = new Set(await this.marked(variable, prefix));
      if (!pids.some((pid) => left.has(pid))) return;
      await this.#wait(killRoundMs * 5);
    }
  }

  /** Kills all marked processes and waits until they are gone; returns those that would not go. */
  async kill(variable: string, prefix: string): Promise<number[]> {
    for (let round = 0; round < killRoundsMax; round++) {
      const pids = await this.marked(variable, prefix);
      if (pids.length === 0) return [];
      this.#signal(pids, 'SIGKILL');
      await this.#wait(killRoundMs);
    }
    return this.marked(variable, prefix);
  }
}
