/**
 * Starts children that die with this process, however it ends.
 *
 * `setpriv --pdeathsig KILL` (util-linux) asks the kernel for it and then executes the program in its own place, so the
 * child's id is the program's. The signal follows the death of the thread that forked, which in Node is the main
 * thread. A program that makes processes of its own (an engine's device holder) is not affected by it.
 */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { LAST_WORD_BYTES_MAX, LAST_WORD_WAIT_MS } from '../limits.ts';

/** Path of setpriv; throws with the way out when it is missing. */
export function findSetpriv(pathVariable: string): string {
  for (const folder of [...pathVariable.split(delimiter), '/usr/bin', '/bin']) {
    const path = join(folder, 'setpriv');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES'))) {
        throw error;
      }
    }
  }
  throw new Error('setpriv is missing: install util-linux, so that engines and replicas die with this process');
}

/** How a child ended, in upstream's words; `clean` = exit code 0. */
export interface ChildEnd {
  readonly clean: boolean;
  /** `exit status 1: the program's own last word`, `exit status 61`, `signal: killed`; "" when clean */
  readonly text: string;
}

const SIGNAL_TEXTS: Record<string, string> = {
  SIGKILL: 'killed',
  SIGHUP: 'hangup',
  SIGINT: 'interrupt',
  SIGTERM: 'terminated',
  SIGQUIT: 'quit',
  SIGABRT: 'aborted',
  SIGSEGV: 'segmentation fault',
  SIGBUS: 'bus error',
  SIGPIPE: 'broken pipe',
};

export function childEnd(code: number | null, signal: string | null): ChildEnd {
  if (signal !== null) return { clean: false, text: `signal: ${SIGNAL_TEXTS[signal] ?? signal.toLowerCase()}` };
  return code === 0 ? { clean: true, text: '' } : { clean: false, text: `exit status ${code ?? -1}` };
}

/** No usable replica: an engine tells more by its calls, and upstream's manager knows it by this text. */
const NO_REPLICA = 'exit status 61';

/** The error of the last line in which the program says that it gives up: `level=fatal … error="…"`. */
export function lastWord(output: string): string {
  const [line = ''] = output
    .split('\n')
    .filter((each) => each.includes('level=fatal'))
    .slice(-1);
  const [, quoted, plain = ''] = / error=(?:("(?:[^"\\]|\\.)*")|(\S+))/.exec(line) ?? [];
  if (quoted === undefined) return plain;
  try {
    return String(JSON.parse(quoted));
  } catch {
    return quoted;
  }
}

export interface ChildEvents {
  output(chunk: Buffer): void;
  /** Called once, when the child is gone; output may still come. */
  ended(end: ChildEnd): void;
  /** No more output: the child and all that inherited its pipes are gone. */
  outputEnded(): void;
}

/** A running child. */
export interface Child {
  readonly pid: number;
  signal(signal: NodeJS.Signals): void;
}

/** Starts a program; a failure to start is reported by `ended`. */
export function startChild(
  setpriv: string,
  binary: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  events: ChildEvents,
): Child {
  const child = spawn(setpriv, ['--pdeathsig', 'KILL', '--', binary, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let reported = false;
  const report = (end: ChildEnd): void => {
    if (reported) return;
    reported = true;
    events.ended(end);
  };
  let said = '';
  const reportWithWord = (end: ChildEnd): void => {
    const word = lastWord(said);
    report(word === '' ? end : { clean: false, text: `${end.text}: ${word}` });
  };
  child.stdout.on('data', (chunk: Buffer) => events.output(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString('utf8')).slice(-LAST_WORD_BYTES_MAX);
    events.output(chunk);
  });
  child.on('error', (error) => {
    if (child.pid === undefined) report({ clean: false, text: error.message });
  });
  // `exit`, not `close`: a holder process that inherited the pipes must not delay the news.
  let end: ChildEnd | null = null;
  child.on('exit', (code, signal) => {
    end = childEnd(code, signal);
    if (end.clean || signal !== null || end.text === NO_REPLICA) return report(end);
    // What it said last may still be on its way.
    setTimeout(reportWithWord, LAST_WORD_WAIT_MS, end).unref();
  });
  child.on('close', () => {
    if (end !== null) reportWithWord(end);
    events.outputEnded();
  });
  return {
    pid: child.pid ?? 0,
    signal: (signal) => {
      child.kill(signal);
    },
  };
}
