/** Limits of the instance manager: waits, queues, files. Times in ms. */

export interface ProcessLimits {
  /** after this long a process that was asked to stop is killed */
  readonly stopGraceMs: number;
  readonly probeIntervalMs: number;
  /** a process that does not answer within this time after its start is stopped */
  readonly probeTotalMs: number;
  readonly replaceWaitMs: number;
  /** a process is asked this often whether it answers; that often once it was silent, or was asked to stop */
  readonly hangPauseMs: number;
  readonly hangRetryMs: number;
  /** time for one answer; a process that is silent so many times in a row stands still, and is killed */
  readonly hangCallMs: number;
  readonly hangChecksMax: number;
}

export const PROCESS_LIMITS: ProcessLimits = {
  stopGraceMs: 60_000,
  probeIntervalMs: 50,
  probeTotalMs: 60_000,
  replaceWaitMs: 30_000,
  hangPauseMs: 10_000,
  hangRetryMs: 1_000,
  hangCallMs: 5_000,
  hangChecksMax: 3,
};

/** One attempt of a probe. */
export const PROBE_CALL_MS = 1_000;

/** Engines get this long to remove their devices before replicas are stopped under them. */
export const SHUTDOWN_ENGINES_MS = 15_000;

/** How long the end of a failed process waits for its last words, and how much of them is looked at. */
export const LAST_WORD_WAIT_MS = 200;
export const LAST_WORD_BYTES_MAX = 4_096;

/** Updates that wait for a slow watcher; a watcher that falls further behind is ended and lists anew. */
export const WATCH_QUEUE_MAX = 1_024;

/** Processes of one node; each has a child and two pipes. */
export const PROCESSES_MAX = 4_000;

/** Longest process name: `<name>.log.2` must be a file name. */
export const PROCESS_NAME_MAX = 240;

/** Arguments of one process, and bytes of all of them: far below the kernel's own limits. */
export const ARGS_MAX = 1_024;
export const ARGS_BYTES_MAX = 1024 * 1024;

/** A process log is at most three files of 20 MiB. */
export const LOG_FILE_BYTES_MAX = 20 * 1024 * 1024;
export const LOG_FILES_PER_PROCESS = 3;

/** Log files of processes that are gone; the oldest are deleted beyond it. */
export const LOG_FILES_MAX = 1_500;

/** Longest line of a log stream message; longer ones are cut into several. */
export const LOG_LINE_BYTES_MAX = 64 * 1024;

/** How often mounts are looked at for file systems that turned read-only. */
export const MOUNT_CHECK_MS = 10_000;

/** Limit of a command such as `mount` or `frontend cleanup`. */
export const COMMAND_TIMEOUT_MS = 60_000;

/** Device clean-up: attempts, the pause between them, and the pause after the last one that failed. */
export const CLEANUP_ATTEMPTS_MAX = 5;
export const CLEANUP_RETRY_MS = 2_000;
export const CLEANUP_LATER_MS = 30_000;

/** Hold time of an engine whose arguments name none. */
export const IO_HOLD_TIMEOUT_S = 300;

if (SHUTDOWN_ENGINES_MS >= PROCESS_LIMITS.stopGraceMs)
  throw new Error('replicas would be killed before they are asked');
if (
  (PROCESS_LIMITS.hangRetryMs + PROCESS_LIMITS.hangCallMs) * PROCESS_LIMITS.hangChecksMax >=
  PROCESS_LIMITS.stopGraceMs
)
  throw new Error('a process that stands still would be found no sooner than one that is slow');
