/**
 * System calls that Node lacks, through koffi. Each throws `LinuxError` with the call, its object and the errno.
 *
 * The two of the hot path (`readInto`, `writeFrom`) take addresses as numbers, allocate nothing and return -1 on
 * failure. A call that may wait for our own FUSE session (`ioctlWaiting`) runs on the thread pool, because that
 * session is served by this thread.
 */
import koffi from 'koffi';
import { getSystemErrorName } from 'node:util';

const libc = koffi.load('libc.so.6');

const cMount = libc.func(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const cUmount = libc.func('int umount2(const char *target, int flags)');
const cIoctl = libc.func('int ioctl(int fd, unsigned long request, void *argument)');
const cMknod = libc.func('int mknod(const char *path, unsigned int mode, unsigned long device)');
const cPipe = libc.func('int pipe2(_Out_ int *fds, int flags)');
const cDup = libc.func('int dup3(int from, int to, int flags)');
const cFlock = libc.func('int flock(int fd, int operation)');
const cSyscall = libc.func('long syscall(long number, long a, long b, long c)');
const cStatx = libc.func('int statx(int fd, const char *path, int flags, unsigned int mask, void *result)');
const cPrctl = libc.func('int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)');

/** `ssize_t read(fd, address, length)` without any allocation; -1 = nothing there, or an error. */
export const readInto: (fd: number, address: number, length: number) => number = libc.func(
  'long read(int fd, uintptr_t buffer, size_t length)',
);
/** `ssize_t write(fd, address, length)` without any allocation; -1 on failure, see `lastErrno`. */
export const writeFrom: (fd: number, address: number, length: number) => number = libc.func(
  'long write(int fd, uintptr_t buffer, size_t length)',
);
/** errno of the call just made; only valid straight after it. */
export const lastErrno = (): number => koffi.errno();

const O_CLOEXEC = 0o2000000;
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const PR_SET_IO_FLUSHER = 57;
const S_IFBLK = 0o060000;
const AT_EMPTY_PATH = 0x1000;
const STATX_SIZE = 0x200;
/** Read by nobody: where the kernel puts what it is asked for; large enough for `struct statx`. */
const statxResult = Buffer.allocUnsafeSlow(256);
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const LOCK_EX_NB = 2 | 4;

export const UMOUNT_FORCE = 1;
export const UMOUNT_DETACH = 2;
export const ENOENT = 2;
export const EIO = 5;
export const ENXIO = 6;
export const EAGAIN = 11;
export const EBUSY = 16;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENOSPC = 28;
export const ENOSYS = 38;
export const EOPNOTSUPP = 95;
export const ECONNABORTED = 103;

/** A failed system call. */
export class LinuxError extends Error {
  readonly errno: number;
  readonly code: string;
  constructor(call: string, object: string, errno: number) {
    const code = getSystemErrorName(-errno);
    super(`${call} ${object}: ${code}`);
    this.name = 'LinuxError';
    this.errno = errno;
    this.code = code;
  }
}

const check = (call: string, object: string, result: number): number => {
  if (result < 0) throw new LinuxError(call, object, koffi.errno());
  return result;
};

/** Where a buffer's bytes lie. The buffer must be kept alive, and must be one of `allocUnsafeSlow` (never moves). */
export const addressOf = (buffer: Buffer): number => Number(koffi.address(buffer));

/** mount(2) of type fuse with the session's descriptor. */
export const mountFuse = (target: string, options: string): void => {
  check('mount', target, cMount('longhorn', target, 'fuse', MS_NOSUID | MS_NODEV, options));
};

/** mount(2) of the file system that lists FUSE connections and can abort them. */
export const mountFuseControl = (target: string): void => {
  check('mount', target, cMount('fusectl', target, 'fusectl', MS_NOSUID | MS_NODEV | MS_NOEXEC, null));
};

export const unmount = (target: string, flags: number): void => {
  check('umount2', target, cUmount(target, flags));
};

/** ioctl with a number as its argument, for calls that cannot wait for our own session. */
export const ioctlNumber = (fd: number, request: number, argument: number, what: string): number =>
  check(what, `fd ${fd}`, cIoctl(fd, request, BigInt(argument)));

/** ioctl on the thread pool. */
export const ioctlWaiting = (fd: number, request: number, argument: Buffer | null, what: string): Promise<number> =>
  new Promise((resolve, reject) => {
    cIoctl.async(fd, request, argument, (error: Error | null, result: number) => {
      if (error !== null) reject(error);
      else if (result < 0) reject(new LinuxError(what, `fd ${fd}`, koffi.errno()));
      else resolve(result);
    });
  });

/** Lets the kernel know the size of an open file, on the thread pool. It asks the file's server only if it has none. */
export const askSizeWaiting = (fd: number): Promise<void> =>
  new Promise((resolve, reject) => {
    cStatx.async(fd, '', AT_EMPTY_PATH, STATX_SIZE, statxResult, (error: Error | null, code: number) => {
      if (error !== null) reject(error);
      else if (code < 0) reject(new LinuxError('statx', `fd ${fd}`, koffi.errno()));
      else resolve();
    });
  });

/** A block device node with exactly these numbers. */
export const makeBlockNode = (path: string, major: number, minor: number, mode: number): void => {
  const device = ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & 0xfff00) << 12);
  check('mknod', path, cMknod(path, S_IFBLK | mode, device));
};

/** Both ends of a pipe, closed on exec. */
export const makePipe = (): [number, number] => {
  const fds = [-1, -1];
  check('pipe2', '', cPipe(fds, O_CLOEXEC));
  return [fds[0] ?? -1, fds[1] ?? -1];
};

/** Makes `to` another name of what `from` is open on, closed on exec. */
export const duplicateOnto = (from: number, to: number): void => {
  check('dup3', `${from} ${to}`, cDup(from, to, O_CLOEXEC));
};

/** True when this open file now holds the exclusive lock; false when another one does. */
export const tryLock = (fd: number, path: string): boolean => {
  if (cFlock(fd, LOCK_EX_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === EAGAIN) return false;
  throw new LinuxError('flock', path, errno);
};

/** A copy of another process's descriptor (pidfd_getfd, Linux 5.6). The caller closes both. */
export const openProcess = (pid: number): number =>
  check('pidfd_open', `pid ${pid}`, Number(cSyscall(SYS_PIDFD_OPEN, pid, 0, 0)));
export const copyDescriptor = (pidfd: number, fd: number): number =>
  check('pidfd_getfd', `fd ${fd}`, Number(cSyscall(SYS_PIDFD_GETFD, pidfd, fd, 0)));

/**
 * Tells the kernel that this thread, and threads that it starts later, are on the way of block I/O: their memory
 * allocations must not wait for writeback that would come back to them. Needs CAP_SYS_RESOURCE; errno, 0 = done.
 */
export const setIoFlusher = (): number => (cPrctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) === 0 ? 0 : koffi.errno());
