/** Values of command line flags, as upstream reads them; errors name the flag. */
import { InvalidArgumentError } from 'commander';

const TRUE_WORDS = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const FALSE_WORDS = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);
const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgtpe]?)i?b?$/i;
const UNITS = ['', 'k', 'm', 'g', 't', 'p', 'e'];

/** `true`, `False`, `1` …; flags without a value were given one by `withBooleanValues`. */
export function parseBoolean(text: string): boolean {
  if (TRUE_WORDS.has(text)) return true;
  if (FALSE_WORDS.has(text)) return false;
  throw new InvalidArgumentError('use true or false');
}

/** `4194304`, `42kb`, `42mb`, `1g`, `1GiB`: factors of 1024. */
export function parseSize(text: string): number {
  const match = SIZE.exec(text.trim());
  const unit = UNITS.indexOf((match?.[2] ?? '').toLowerCase());
  const bytes = Math.trunc(Number(match?.[1]) * 1024 ** unit);
  if (!match || !Number.isSafeInteger(bytes)) {
    throw new InvalidArgumentError('use a number of bytes, or one with k, m, g, t');
  }
  return bytes;
}

/** A whole number, 0 or above. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('use a whole number, 0 or above');
  }
  return value;
}

/** A whole number of bytes, nothing else (`expand --size`). */
export function parseBytes(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('use a whole number of bytes');
  return parseCount(text);
}

/** For flags that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/**
 * A boolean flag stands alone or has `=value`; an argument after it is never its value. So that the parser cannot
 * take it for one, a flag that stands alone gets `=true`.
 */
export function withBooleanValues(argv: readonly string[], flags: ReadonlySet<string>): string[] {
  const end = argv.indexOf('--');
  return argv.map((word, index) => (flags.has(word) && (end < 0 || index < end) ? `${word}=true` : word));
}

const LABEL_KEY = /^(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

/** `key=value` pairs, keys as Kubernetes names them. */
export function parseLabels(pairs: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of pairs) {
    const split = pair.indexOf('=');
    const key = pair.slice(0, Math.max(split, 0));
    const value = pair.slice(split + 1);
    if (split < 0) throw new Error(`cannot parse backup labels: invalid label not in <key>=<value> format ${pair}`);
    if (!LABEL_KEY.test(key)) throw new Error(`cannot parse backup labels: invalid label key ${key}`);
    if (value === '') throw new Error(`cannot parse backup labels: invalid empty value for label with key ${key}`);
    labels[key] = value;
  }
  return labels;
}
