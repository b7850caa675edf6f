import { useEffect, useState } from 'react';

const TICK_MS = 10_000;

/** The time, coarse: for texts such as `3 minutes ago`. */
export function useNow(): number {
  const [nowMs, setNowMs] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return nowMs;
}
