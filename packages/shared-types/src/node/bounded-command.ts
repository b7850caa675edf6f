/**
 * Runs short programs of the node (`mount`, `mkfs.ext4`, `fsfreeze`), bounded in time and output: a caller gets an answer even
 * when the program hangs in the kernel on a dead device, where no signal reaches it.
 */
import { spawn } from 'node:child_process';

/** The last bytes of a program's output are those that say why it failed. */
const OUTPUT_MAX = 16 * 1024;

export interface CommandEnd {
  /** null when a signal ended it */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** standard output and error as they came, the last 16 KiB, without blanks around it */
  readonly output: string;
}

export interface CommandOptions {
  readonly timeoutMs: number;
  readonly env?: NodeJS.ProcessEnv;
}

/** How the program ended, whatever its code. Throws when it cannot be run, and when it is not done in time (it is killed, or left behind). */
export function runBounded(command: string, args: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  const { timeoutMs, env = process.env } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_MAX);
    };
    const finish = (): void => {
      clearTimeout(limit);
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      child.unref();
      finish();
      reject(new Error(`${[command, ...args].join(' ')}: not done after ${timeoutMs / 1000} s: ${output.trim()}`));
    }, timeoutMs);
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => {
      finish();
      reject(new Error(`${command} cannot be run: ${error.message}`, { cause: error }));
    });
    // `exit`, not `close`: something that the program left running may hold its pipes.
    child.on('exit', (code, signal) => {
      setImmediate(() => {
        finish();
        resolve({ code, signal, output: output.trim() });
      });
    });
  });
}
