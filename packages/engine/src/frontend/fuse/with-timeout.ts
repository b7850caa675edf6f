/** Waits for a promise, but not for ever. The promise itself goes on; its late failure is dropped. */
export const withTimeout = async <T>(promise: Promise<T>, timeoutMs: number, message: string): Promise<T> => {
  let timer: NodeJS.Timeout | null = null;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${message} (${timeoutMs} ms)`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
};
