/**
 * The story, end to end, with real block devices. Wants root; without it the NBD story runs in its place.
 * The steps build on each other: the first that fails ends the run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Cluster } from '../src/cluster.ts';
import { storyOn } from '../src/story/context.ts';
import { FileSystems } from '../src/story/file-system.ts';
import { stepsWith } from '../src/story/steps.ts';

const root = process.getuid?.() === 0;
if (!root) console.log('story with block devices: skipped, it wants root');

describe.skipIf(!root)('the story with block devices', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-story-'));
  const cluster = new Cluster(join(folder, 'cluster'), 20);
  const context = storyOn(
    cluster,
    new FileSystems(join(folder, 'work'), resolve(import.meta.dirname, '../../../node_modules')),
    (text) => console.log(`    ${text}`),
  );

  beforeAll(async () => {
    await cluster.start();
  });

  afterAll(async () => {
    await context.medium.release();
    await cluster.stop();
    await cluster.remove();
    rmSync(folder, { recursive: true, force: true });
    for (const [name, figure] of context.figures) console.log(`    ${name}: ${figure}`);
  });

  for (const step of stepsWith(context.medium)) it(step.title, () => step.run(context));
});
