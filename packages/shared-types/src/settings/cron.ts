/** Checks cron schedules: five fields, or a descriptor such as `@daily` or `@every 1h`. It does not compute times. */
import { parseDuration } from '../units/duration.ts';

const DESCRIPTORS = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const FIELDS = [
  { name: 'minute', minimum: 0, maximum: 59, names: [] },
  { name: 'hour', minimum: 0, maximum: 23, names: [] },
  { name: 'day of month', minimum: 1, maximum: 31, names: [] },
  { name: 'month', minimum: 1, maximum: 12, names: MONTHS },
  { name: 'day of week', minimum: 0, maximum: 6, names: DAYS },
];

/** What is wrong with a cron schedule; null when nothing is. */
export function cronProblem(schedule: string): string | null {
  if (schedule.startsWith('@every ')) {
    return parseDuration(schedule.slice('@every '.length)) === null ? 'after @every comes a duration such as 1h' : null;
  }
  if (schedule.startsWith('@')) {
    return DESCRIPTORS.includes(schedule) ? null : `descriptor must be one of ${DESCRIPTORS.join(', ')} or @every`;
  }
  const parts = schedule.trim().split(/\s+/);
  if (parts.length !== FIELDS.length) return `expected exactly 5 fields, found ${parts.length}`;
  for (const [index, field] of FIELDS.entries()) {
    const part = parts[index] ?? '';
    for (const item of part.split(',')) {
      if (!itemFits(item, field)) {
        return `${field.name} ${part} is not within ${field.minimum} to ${field.maximum}`;
      }
    }
  }
  return null;
}

function itemFits(item: string, field: { minimum: number; maximum: number; names: string[] }): boolean {
  const match = /^(\*|\?|[a-z0-9]+(?:-[a-z0-9]+)?)(?:\/([0-9]+))?$/i.exec(item);
  if (match === null) return false;
  const [, span = '', step] = match;
  if (step !== undefined && Number(step) < 1) return false;
  if (span === '*' || span === '?') return true;
  const ends = span.split('-').map((end) => {
    const index = field.names.indexOf(end.toLowerCase());
    if (index >= 0) return index + field.minimum;
    return /^[0-9]+$/.test(end) ? Number(end) : Number.NaN;
  });
  const low = ends[0] ?? Number.NaN;
  const high = ends.at(-1) ?? Number.NaN;
  return low >= field.minimum && high <= field.maximum && low <= high;
}
