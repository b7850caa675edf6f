import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { generate } from '../scripts/generate-protos.ts';

it('has generated files that belong to the .proto files (else run scripts/generate-protos.ts)', async () => {
  const generated = await generate((path) => readFileSync(path, 'utf8'));
  const folder = fileURLToPath(new URL('generated', import.meta.url));
  const present = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]);
  expect(Object.fromEntries(present)).toEqual(Object.fromEntries(generated));
});
