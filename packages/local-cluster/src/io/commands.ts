/** Runs programs of the machine. */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const outputBytesMax = 4 << 20;
const commandMsMax = 60_000;

export class CommandError extends Error {
  readonly output: string;
  constructor(command: string, output: string, cause: unknown) {
    super(`${command}: ${output.trim() || 'it failed without a word'}`, { cause });
    this.output = output;
  }
}

/** Runs a program and returns what it printed; `input` goes to its standard input. */
export function run(command: string, args: readonly string[], input = '', timeout = commandMsMax): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: outputBytesMax, timeout }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new CommandError(`${command} ${args.join(' ')}`, stderr || error.message, error));
    });
    // A program that ends without reading its input says by its exit code what that means.
    child.stdin?.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') reject(error);
    });
    child.stdin?.end(input);
  });
}

/** System programs are also looked for where a user's PATH may not lead. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin'];

/** The path of a program, or `null`. */
export function findProgram(name: string, path: string): string | null {
  for (const folder of [...path.split(':'), ...SYSTEM_FOLDERS]) {
    if (folder === '') continue;
    try {
      accessSync(join(folder, name), constants.X_OK);
      return join(folder, name);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error;
    }
  }
  return null;
}
