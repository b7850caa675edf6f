import { describe, expect, it } from 'vitest';
import { parseBoolean, parseBytes, parseLabels, parseSize, withBooleanValues } from './parse-flags.ts';

describe('parseSize', () => {
  it.each([
    ['4194304', 4_194_304],
    ['42kb', 43_008],
    ['42mb', 44_040_192],
    ['1g', 1_073_741_824],
    ['1GiB', 1_073_741_824],
    ['1.5m', 1_572_864],
    ['0', 0],
  ])('%s is %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', '-1', '1x', 'g', '9999p', '0x10'])('refuses %j', (text) => {
    expect(() => parseSize(text)).toThrow('use a number of bytes');
  });
});

describe('parseBytes', () => {
  it.each(['1g', '-1', '1.5', '', ' 1'])('refuses %j', (text) => {
    expect(() => parseBytes(text)).toThrow('whole number of bytes');
  });
});

describe('boolean flags', () => {
  it.each([
    ['true', true],
    ['False', false],
    ['1', true],
    ['F', false],
  ])('%s is %s', (text, value) => {
    expect(parseBoolean(text)).toBe(value);
  });

  it('that stand alone get a value, so that no argument is taken for it', () => {
    const flags = new Set(['--fast-sync']);
    expect(
      withBooleanValues(['add', '--fast-sync', 'tcp://a', '--fast-sync=false', '--', '--fast-sync'], flags),
    ).toEqual(['add', '--fast-sync=true', 'tcp://a', '--fast-sync=false', '--', '--fast-sync']);
  });
});

describe('parseLabels', () => {
  it('reads pairs; the value may hold further equal signs', () => {
    expect(parseLabels(['k=v', 'example.com/name=a=b'])).toEqual({ k: 'v', 'example.com/name': 'a=b' });
  });

  it.each([
    ['kv', 'invalid label not in <key>=<value> format kv'],
    ['k=', 'invalid empty value for label with key k'],
    ['-k=v', 'invalid label key -k'],
  ])('refuses %s', (pair, text) => {
    expect(() => parseLabels([pair])).toThrow(text);
  });
});
