import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { generate } from '../scripts/generate-protos.ts';

it('has generated files that belong to the .proto files (else run scripts/generate-protos.ts)', async () => {
  const generated = await generate((path) => readFileSync(path, 'utf8'));
  for (const [name, text] of generated) {
    expect(readFileSync(fileURLToPath(new URL(`generated/${name}`, import.meta.url)), 'utf8'), name).toBe(text);
  }
});
