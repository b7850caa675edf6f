/** Durations as people write them: Go's form (`1h30m`, `5m0s`, `500ms`) and whole days (`90d`). */

const UNIT_MS: Record<string, number> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};

/** Milliseconds of a duration, not negative; null when the text is none. `0` is one without a unit. */
export function parseDuration(text: string): number | null {
  if (text === '0') return 0;
  if (!/^([0-9]+(\.[0-9]+)?(d|h|ms|us|µs|ns|m|s))+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, amount = '', unit = ''] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(d|h|ms|us|µs|ns|m|s)/g)) {
    totalMs += Number(amount) * (UNIT_MS[unit] ?? Number.NaN);
  }
  return Number.isFinite(totalMs) ? totalMs : null;
}
