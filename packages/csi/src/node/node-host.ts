/** What of the node's kernel and programs the plugin uses; the real one is `io/linux-host.ts`. */

export interface CommandResult {
  readonly code: number;
  /** what it printed, cut to the last part */
  readonly output: string;
}

export interface NodeHost {
  /** Runs a program to its end. Throws when it cannot be started, is killed, or takes longer. */
  run(command: string, args: readonly string[], timeoutMs: number): Promise<CommandResult>;
  /** Text of /proc/self/mountinfo. */
  mountInfo(): Promise<string>;
  /** `major:minor` of the block device at this path; null when there is none. */
  deviceNumber(path: string): Promise<string | null>;
  /** Whether something has the device for itself: a mounted file system, one that is still written back, a program. */
  isHeld(path: string): Promise<boolean>;
  /** False when the file system at this path answers with I/O errors. */
  answers(path: string): Promise<boolean>;
  /** Bytes of a device; fewer at its end. Throws when they cannot be read. */
  readDevice(path: string, offset: number, length: number): Promise<Buffer>;
  /** Loop devices that can be used at the same time; null = they are made when needed. */
  loopDevices(): Promise<number | null>;
}

/** Runs a program that must succeed; the error has the whole command and its output. */
export async function runOrThrow(
  host: NodeHost,
  command: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const { code, output } = await host.run(command, args, timeoutMs);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')}: exit code ${code}: ${output.trim()}`);
  return output;
}
