/** Running programs of the system: mkfs, mount, kubectl. */
import { execFile } from 'node:child_process';

/** Thrown when a program ends with a code other than 0; the message has its output. */
export class ShellError extends Error {}

/** Runs a program to its end and answers its standard output. */
export function run(
  program: string,
  args: string[],
  options: { input?: string; env?: NodeJS.ProcessEnv; cwd?: string; timeoutMs?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      {
        maxBuffer: 256 << 20,
        timeout: options.timeoutMs ?? 300_000,
        env: options.env ?? process.env,
        cwd: options.cwd,
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new ShellError(`${program} ${args.join(' ')}: ${error.message}\n${stderr}${stdout.slice(-2000)}`));
      },
    );
    // A program that ends without reading its input is judged by its exit code.
    child.stdin?.on('error', (error) => {
      if (!('code' in error && error.code === 'EPIPE')) reject(error);
    });
    child.stdin?.end(options.input ?? '');
  });
}
