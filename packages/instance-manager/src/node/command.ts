/** Runs short commands of the node (`mount`, `fsfreeze`, `longhorn frontend cleanup`). */
import { runBounded } from '@longhorn/shared-types/node/bounded-command';
import { COMMAND_TIMEOUT_MS } from '../limits.ts';
import { childEnd } from '../process/child.ts';

/**
 * Ends when the command succeeded; throws its output when it failed, and at the limit even if the command cannot be
 * killed.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<void> {
  const { code, signal, output } = await runBounded(command, args, { timeoutMs: COMMAND_TIMEOUT_MS, ...options });
  const { clean, text } = childEnd(code, signal);
  if (!clean) throw new Error(`${[command, ...args].join(' ')}: ${text}: ${output}`);
}
