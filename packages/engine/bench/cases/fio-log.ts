/**
 * What fio logged: a line for each I/O (`--write_lat_log`), or for each stretch of time (`--log_avg_msec`).
 *
 *     TIME ms, VALUE, DIRECTION (0 read, 1 write), BLOCK SIZE, OFFSET[, PRIORITY]
 */
import { readFileSync } from 'node:fs';

const NS_PER_MS = 1e6;

/** One line; the columns that the cases use. */
export interface LogLine {
  /** when the I/O was answered, or the end of the stretch; ms since 1970 with `--log_unix_epoch` */
  readonly timeMs: number;
  /** ns of an I/O, or what was averaged */
  readonly value: number;
  readonly offset: number;
}

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export function readFioLog(path: string): LogLine[] {
  return parseFioLog(readFileSync(path, 'utf8'));
}

/** @throws for a line that is none */
export function parseFioLog(text: string): LogLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [timeMs = NaN, value = NaN, , , offset = NaN] = line.split(',').map(Number);
      if (Number.isNaN(timeMs + value + offset)) throw new Error(`not a line of a fio log: ${line}`);
      return { timeMs, value, offset };
    });
}

/** How many different blocks were written (or read) within a span. */
export function distinctOffsets(lines: readonly LogLine[], span: Span): number {
  return new Set(lines.filter((line) => isWithin(line, span)).map(({ offset }) => offset)).size;
}

/** The longest I/O that was answered within the span, in ms; 0 when there was none. */
export function longestMs(lines: readonly LogLine[], span: Span): number {
  return lines.reduce(
    (longest, line) => (isWithin(line, span) ? Math.max(longest, line.value / NS_PER_MS) : longest),
    0,
  );
}

/** The longest I/O that was answered within none of the spans, in ms. */
export function longestOutsideMs(lines: readonly LogLine[], spans: readonly Span[]): number {
  return longestMs(
    lines.filter((line) => !spans.some((span) => isWithin(line, span))),
    { fromMs: -Infinity, toMs: Infinity },
  );
}

/** The mean of what was averaged over stretches that end within the span. @throws when there is none */
export function meanWithin(lines: readonly LogLine[], span: Span): number {
  const within = lines.filter((line) => isWithin(line, span));
  if (within.length === 0) throw new Error(`fio logged nothing between ${span.fromMs} and ${span.toMs}`);
  return within.reduce((sum, { value }) => sum + value, 0) / within.length;
}

function isWithin({ timeMs }: LogLine, { fromMs, toMs }: Span): boolean {
  return timeMs >= fromMs && timeMs <= toMs;
}
