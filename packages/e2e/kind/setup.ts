/** After each failed test: what is known goes into a folder, and the line that matters to the terminal. */
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { collect } from './collect.ts';

const folder = process.env['E2E_FOLDER'] ?? '';
if (folder === '') throw new Error('E2E_FOLDER says where failures are collected: run these tests by "npm run e2e"');
const COLLECT_MS = 120_000;

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') return;
  const slug = task.name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 60);
  const failure = (task.result.errors ?? []).map(({ message }) => message).join('\n');
  const place = join(folder, slug);
  const line = await collect(place, failure);
  console.error(`\n✗ ${task.name}\n  ${line}\n  logs, objects and events: ${place}\n`);
}, COLLECT_MS);
