/** Runs short commands of the node (`mount`, `fsfreeze`, `longhorn frontend cleanup`), bounded in time and output. */
import { spawn } from 'node:child_process';
import { COMMAND_OUTPUT_MAX, COMMAND_TIMEOUT_MS } from '../limits.ts';
import { childEnd } from '../process/child.ts';

/**
 * Ends when the command succeeded; throws its output when it failed, and at the limit even if the command cannot be
 * killed (it may hang in the kernel on a dead device).
 */
export function runCommand(
  command: string,
  args: readonly string[],
  { env = process.env, timeoutMs = COMMAND_TIMEOUT_MS }: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const line = [command, ...args].join(' ');
    let output = '';
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-COMMAND_OUTPUT_MAX);
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
      reject(new Error(`${line}: not done after ${timeoutMs} ms: ${output.trim()}`));
    }, timeoutMs);
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', (error) => {
      finish();
      reject(error);
    });
    // `exit`, not `close`: something that the command left running may hold its pipes.
    child.on('exit', (code, signal) => {
      const { clean, text } = childEnd(code, signal);
      setImmediate(() => {
        finish();
        if (clean) resolve();
        else reject(new Error(`${line}: ${text}: ${output.trim()}`));
      });
    });
  });
}
