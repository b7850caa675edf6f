/** The logger that the device code wants, writing this process's log lines. */
import pino, { type Logger } from 'pino';
import { logLine } from './go-output.ts';

const LEVELS = new Map([
  [30, 'info'],
  [40, 'warning'],
  [50, 'error'],
  [60, 'fatal'],
]);

/** A pino logger to standard error, in upstream's format. */
export function deviceLogger(): Logger {
  return pino({ base: null, timestamp: false }, { write: writeLine });
}

function writeLine(line: string): void {
  const record = JSON.parse(line) as Record<string, unknown>;
  const fields: Record<string, string> = {};
  for (const [key, value] of Object.entries(record)) {
    if (key !== 'level' && key !== 'msg') fields[key] = typeof value === 'string' ? value : JSON.stringify(value);
  }
  const level = LEVELS.get(Number(record['level'])) ?? 'debug';
  const message = typeof record['msg'] === 'string' ? record['msg'] : '';
  process.stderr.write(logLine(new Date(), level, message, fields));
}
