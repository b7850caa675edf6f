/** Runs a program of the system to its end; its output is in the error when it fails. */
import { execFile } from 'node:child_process';

/** A program ended with a code other than 0, or did not end in time. */
export class ProgramError extends Error {
  readonly exitCode: number | null;
  constructor(message: string, exitCode: number | null) {
    super(message);
    this.exitCode = exitCode;
  }
}

const TIMEOUT_MS = 60_000;

/** @returns standard output. @throws ProgramError with command, code and what the program said */
export function runProgram(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, [...args], { timeout: TIMEOUT_MS, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const code = typeof error.code === 'number' ? error.code : null;
        reject(new ProgramError(`${program} ${args.join(' ')}: ${stderr.trim() || error.message}`, code));
      }
    });
  });
}
