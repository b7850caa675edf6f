import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deviceAttribute } from './device-attribute.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'attribute-'))));
afterEach(() => rmSync(folder, { recursive: true }));

it('reads an attribute without the line end', () => {
  writeFileSync(join(folder, 'dev'), '7:3\n');
  expect(deviceAttribute(join(folder, 'dev'))).toBe('7:3');
});

it('is null for a device that is not there', () => {
  expect(deviceAttribute(join(folder, 'none', 'dev'))).toBeNull();
  expect(deviceAttribute('/dev/null/loop/backing_file')).toBeNull();
});

it('throws what is another matter', () => {
  expect(() => deviceAttribute(folder)).toThrow('EISDIR');
});
