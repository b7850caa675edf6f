/** Errno of Linux that the core answers with; 0 is success. */
export const EIO = 5;
export const EAGAIN = 11;
export const ENOSPC = 28;
