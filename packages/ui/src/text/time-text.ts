/** Times for people. The API writes RFC 3339 or `2025-11-20 10:11:12 +0000 UTC`. */

/** Milliseconds since 1970; null when the text is no time. */
export function parseTime(text: string): number | null {
  const go = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) \+0000 UTC$/.exec(text);
  const time = Date.parse(go === null ? text : `${go[1]}T${go[2]}Z`);
  return Number.isNaN(time) ? null : time;
}

const STEPS = [
  [60, 'second'],
  [60, 'minute'],
  [24, 'hour'],
  [30, 'day'],
  [12, 'month'],
  [Number.POSITIVE_INFINITY, 'year'],
] as const;

/** `3 minutes ago`; the text itself when it is no time. */
export function ageText(text: string, nowMs: number): string {
  const time = parseTime(text);
  if (time === null) return text;
  let count = Math.max(0, Math.round((nowMs - time) / 1000));
  if (count < 5) return 'just now';
  for (const [size, unit] of STEPS) {
    if (count < size) return `${count} ${unit}${count === 1 ? '' : 's'} ago`;
    count = Math.round(count / size);
  }
  return text;
}
