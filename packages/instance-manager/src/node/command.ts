/** Runs short commands of the node (`mount`, `fsfreeze`, `longhorn frontend cleanup`), bounded in time and output. */
import { spawn } from 'node:child_process';
import { childEnd } from '../process/child.ts';
import { COMMAND_OUTPUT_MAX, COMMAND_TIMEOUT_MS } from '../limits.ts';

/** Ends when the command succeeded; throws its output when it failed or took too long. */
export function runCommand(command: string, args: readonly string[], timeoutMs = COMMAND_TIMEOUT_MS): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const take = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-COMMAND_OUTPUT_MAX);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    // `exit`, not `close`: something that the command left running may hold its pipes.
    child.on('exit', (code, signal) => {
      const { clean, text } = childEnd(code, signal);
      setImmediate(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        if (clean) resolve();
        else reject(new Error(`${command} ${args.join(' ')}: ${text}: ${output.trim()}`));
      });
    });
  });
}
