/** The log level by upstream's names. */
import type { Logger } from 'pino';

const TO_PINO: Record<string, string> = {
  panic: 'fatal',
  fatal: 'fatal',
  error: 'error',
  warn: 'warn',
  warning: 'warn',
  info: 'info',
  debug: 'debug',
  trace: 'trace',
};

export interface LogLevels {
  /** Throws for a name that is not a level. */
  set(level: string): void;
  get(): string;
}

/** Levels of a logger; `panic` is kept by name, as the logger has no such level. */
export function logLevels(logger: Pick<Logger, 'level'>): LogLevels {
  let current = logger.level === 'warn' ? 'warning' : logger.level;
  return {
    set(level) {
      const name = level.toLowerCase();
      const mapped = TO_PINO[name];
      if (mapped === undefined) throw new Error(`not a valid logrus Level: ${JSON.stringify(level)}`);
      logger.level = mapped;
      current = name === 'warn' ? 'warning' : name;
    },
    get: () => current,
  };
}
