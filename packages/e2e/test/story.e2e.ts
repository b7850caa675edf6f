/**
 * The story, end to end, with real block devices. Wants root; without it the NBD story runs in its place.
 * The steps build on each other: the first that fails ends the run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Cluster } from '../src/cluster.ts';
import { endStory, STEPS } from '../src/story/steps.ts';
import type { StoryContext } from '../src/story/context.ts';
import { releaseMounts } from '../src/story/context.ts';

/** Steps 8 and 9 are left to `npm run demo` until they were seen to pass here: 8 was changed last and not run since. */
const STEPS_IN_TESTS = STEPS;
console.log(
  `story: ${STEPS.length - STEPS_IN_TESTS.length} of ${STEPS.length} steps are not run here, see story.e2e.ts`,
);

const root = process.getuid?.() === 0;
if (!root) console.log('story with block devices: skipped, it wants root');

describe.skipIf(!root)('the story with block devices', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-story-'));
  const cluster = new Cluster(join(folder, 'cluster'), 20);
  const context: StoryContext = {
    cluster,
    get kube() {
      return cluster.kube;
    },
    get rest() {
      return cluster.rest;
    },
    workDir: join(folder, 'work'),
    tree: resolve(import.meta.dirname, '../../../node_modules'),
    log: (text) => console.log(`    ${text}`),
    figures: new Map(),
  };

  beforeAll(async () => {
    await cluster.start();
  });

  afterAll(async () => {
    endStory();
    await releaseMounts(context);
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
    for (const [name, figure] of context.figures) console.log(`    ${name}: ${figure}`);
  });

  for (const step of STEPS_IN_TESTS) it(step.title, () => step.run(context));
});
