import { describe, expect, it } from 'vitest';
import { goJson, logLine, sortedMap, table } from './go-output.ts';

describe('output as callers parse it', () => {
  it('indents JSON with tabs and escapes what Go escapes', () => {
    expect(goJson({ url: 's3://b?a=1&c=<2>' })).toBe('{\n\t"url": "s3://b?a=1\\u0026c=\\u003c2\\u003e"\n}');
  });

  it('sorts maps by key', () => {
    expect(Object.keys(sortedMap({ b: 1, a: 2 }))).toEqual(['a', 'b']);
  });

  it('aligns columns and leaves nothing after the last', () => {
    const rows = [
      ['ADDRESS', 'MODE', 'CHAIN'],
      ['tcp://127.0.0.1:21000', 'RW', '[volume-head-001.img]'],
      ['tcp://127.0.0.1:21020', 'ERR', ''],
    ];
    expect(table(rows)).toBe(
      [
        'ADDRESS               MODE CHAIN',
        'tcp://127.0.0.1:21000 RW   [volume-head-001.img]',
        'tcp://127.0.0.1:21020 ERR',
      ].join('\n'),
    );
  });

  it('writes one log line an event', () => {
    const line = logLine(new Date(0), 'fatal', 'Error running info command', { error: 'no "such" thing', count: 3 });
    expect(line).toBe(
      'time="1970-01-01T00:00:00.000Z" level=fatal msg="Error running info command" error="no \\"such\\" thing" count=3\n',
    );
  });
});
