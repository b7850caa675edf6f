/**
 * Starts programs as `nobody`, so that root can test what works without root. Where `nobody` cannot reach the program (a
 * checkout below a home folder), it may read every file, and nothing more.
 */
import { spawnSync } from 'node:child_process';

/** user and group on every Linux */
export const NOBODY = 65_534;

const SWITCH = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
// The securebit: access(2), which existsSync uses, leaves capabilities out of account without it.
const READ_ALL = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search', '--securebits=+no_setuid_fixup'];

/** The command that runs `program` as nobody. */
export function asNobody(program: string, args: readonly string[]): { command: string; args: string[] } {
  const reached = spawnSync('setpriv', [...SWITCH, 'test', '-x', program]);
  if (reached.error !== undefined) throw reached.error;
  const extra = reached.status === 0 ? [] : READ_ALL;
  return { command: 'setpriv', args: [...SWITCH, ...extra, program, ...args] };
}
