/** Where the control side tells what it does; one line an event, never one a request. */

export type LogFields = Readonly<Record<string, string | number | boolean>>;

export interface ControlLog {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
