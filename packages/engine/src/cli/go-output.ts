/** Output as upstream's callers parse it: JSON indented with tabs, aligned tables, logfmt on standard error. */

/** Indented JSON with the escapes of Go's encoder; keys of maps are to be given sorted. */
export function goJson(value: unknown): string {
  return JSON.stringify(value, null, '\t')
    .replaceAll('<', '\\u003c')
    .replaceAll('>', '\\u003e')
    .replaceAll('&', '\\u0026');
}

/** A map's entries in Go's order. */
export function sortedMap<T>(map: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(map).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

/** Columns padded to the widest cell, one blank between them, nothing after the last. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join(' ')
        .trimEnd(),
    )
    .join('\n');
}

/** One line: `time="…" level=… msg="…" key=value`. */
export function logLine(
  time: Date,
  level: string,
  message: string,
  fields: Readonly<Record<string, string | number | boolean>> = {},
): string {
  const parts = [`time="${time.toISOString()}"`, `level=${level}`, `msg=${quoted(message)}`];
  for (const [key, value] of Object.entries(fields)) {
    parts.push(`${key}=${typeof value === 'string' ? quotedWhenNeeded(value) : String(value)}`);
  }
  return `${parts.join(' ')}\n`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function quotedWhenNeeded(text: string): string {
  return /^[\w./:@+-]+$/.test(text) ? text : quoted(text);
}
