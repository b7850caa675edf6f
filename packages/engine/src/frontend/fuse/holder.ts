/**
 * The holder: a small process of its own that keeps a device's descriptors open, so that the device outlives the engine.
 *
 *     fd 3   the FUSE session     fd 4   the loop device, read-only     fd 5   the backing file
 *
 * It is `sleep infinity` in a session of its own (signals to the engine's group, and the engine's parent-death
 * signal, do not reach it). The order of the descriptors matters: a killed process closes them from the lowest, so the
 * FUSE connection ends first, and nothing that is closed after it can wait for an answer.
 * Its environment names the record it belongs to, which proves that it is ours, also when no record was written yet.
 */
import { spawn } from 'node:child_process';
import { closeSync, writeFileSync } from 'node:fs';
import type { Logger } from 'pino';
import type { ProcessIdentity } from './device-record.ts';
import { SETTLE_ATTEMPTS_MAX, SETTLE_RETRY_MS } from './limits.ts';
import { copyDescriptor, openProcess } from './linux.ts';
import {
  hasEnvironment,
  isSameProcess,
  processesWithEnvironment,
  readProcess,
  startTicksOf,
} from './process-identity.ts';

const HOLDER_EXECUTABLE = 'sleep';
const HOLDER_VARIABLE = 'LONGHORN_DEVICE_HOLDER';
const NODE_MARK_VARIABLE = 'LONGHORN_NODE_MARK';
const HELD_FUSE = 3;
const HELD_LOOP = 4;
const HELD_BACKING = 5;
const OOM_SCORE_NEVER = '-1000';

export interface HeldDescriptors {
  fuseFd: number;
  loopFd: number;
  backingFd: number;
}

/** Waits; a parameter so that nothing here depends on the clock. */
export type Delay = (milliseconds: number) => Promise<void>;

/** Starts a holder; resolves when it runs with the descriptors. */
export const startHolder = async (
  recordPath: string,
  descriptors: HeldDescriptors,
  nodeMark: string | null,
  logger: Logger,
): Promise<ProcessIdentity> => {
  const child = spawn(HOLDER_EXECUTABLE, ['infinity'], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', descriptors.fuseFd, descriptors.loopFd, descriptors.backingFd],
    env: {
      PATH: process.env['PATH'],
      [HOLDER_VARIABLE]: recordPath,
      ...(nodeMark === null ? {} : { [NODE_MARK_VARIABLE]: nodeMark }),
    },
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) =>
      reject(new Error('the device holder (sleep) could not be started', { cause: error })),
    );
  });
  child.unref();
  const pid = child.pid ?? 0;
  const startTicks = startTicksOf(pid);
  if (startTicks === null) throw new Error(`the device holder ${pid} ended at once`);
  try {
    writeFileSync(`/proc/${pid}/oom_score_adj`, OOM_SCORE_NEVER);
  } catch (error) {
    logger.debug({ err: error }, 'the device holder cannot be protected from the out-of-memory killer');
  }
  return { pid, startTicks };
};

/** Whether the holder of a record is alive, and is what the record says. */
export const isHolder = (identity: ProcessIdentity, recordPath: string): boolean =>
  isSameProcess(identity) && hasEnvironment(identity.pid, HOLDER_VARIABLE, recordPath);

/** Holders of any record that `accepts` takes. */
export const findHolders = (
  accepts: (recordPath: string) => boolean,
): { identity: ProcessIdentity; recordPath: string }[] =>
  processesWithEnvironment(HOLDER_EXECUTABLE, HOLDER_VARIABLE).flatMap(({ pid, value }) => {
    const startTicks = accepts(value) ? startTicksOf(pid) : null;
    return startTicks === null ? [] : [{ identity: { pid, startTicks }, recordPath: value }];
  });

const connectionIdIn = (pid: number, fd: number): number =>
  Number(/^fuse_connection:\s*(\d+)$/m.exec(readProcess(pid, `fdinfo/${fd}`) ?? '')?.[1] ?? '0');

/** The FUSE connection that a descriptor of this process belongs to; 0 when the kernel does not tell. */
export const connectionIdOf = (fd: number): number => connectionIdIn(process.pid, fd);
/** The FUSE connection that a holder keeps; 0 when it has none, or the kernel does not tell. */
export const heldConnectionId = (pid: number): number => connectionIdIn(pid, HELD_FUSE);

/** Copies of a holder's descriptors. Needs the right to trace it (root, or CAP_SYS_PTRACE in a pod). */
export const copyHeldDescriptors = (identity: ProcessIdentity): HeldDescriptors => {
  const pidfd = openProcess(identity.pid);
  const copied: number[] = [];
  try {
    // The pidfd names one process for good, but it was opened by number: look again that it is the one.
    if (!isSameProcess(identity)) throw new Error(`the device holder ${identity.pid} is gone`);
    const copy = (fd: number): number => {
      const own = copyDescriptor(pidfd, fd);
      copied.push(own);
      return own;
    };
    return { fuseFd: copy(HELD_FUSE), loopFd: copy(HELD_LOOP), backingFd: copy(HELD_BACKING) };
  } catch (error) {
    copied.forEach((fd) => closeSync(fd));
    throw error;
  } finally {
    closeSync(pidfd);
  }
};

const killProcess = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

/** Kills a holder, and waits until its descriptors are closed. */
export const stopHolder = async (identity: ProcessIdentity, delay: Delay): Promise<void> => {
  for (let attempt = 0; attempt < SETTLE_ATTEMPTS_MAX; attempt++) {
    if (!isSameProcess(identity)) return;
    if (attempt === 0) killProcess(identity.pid);
    await delay(SETTLE_RETRY_MS);
  }
  throw new Error(`the device holder ${identity.pid} does not end after SIGKILL`);
};
