/** Logs to standard error, in upstream's format. */
import type { ControlLog, LogFields } from '../controller/control-log.ts';
import { logLine } from './go-output.ts';

function write(level: string, message: string, fields: LogFields | undefined): void {
  process.stderr.write(logLine(new Date(), level, message, fields));
}

export const stderrLog: ControlLog = {
  info: (message, fields) => write('info', message, fields),
  warn: (message, fields) => write('warning', message, fields),
  error: (message, fields) => write('error', message, fields),
};
