/**
 * The story without root: a cluster without privileges, volumes over NBD, contents that the client knows in the place of
 * file systems. Root starts the cluster as `nobody`, so this is tested wherever the tests run.
 * The steps build on each other: the first that fails ends the run.
 */
import { chownSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Cluster } from '../src/cluster.ts';
import { Blocks } from '../src/story/blocks.ts';
import { storyOn } from '../src/story/context.ts';
import { stepsWith } from '../src/story/steps.ts';
import { NOBODY } from '../src/unprivileged.ts';

const SEED = 1;

describe('the story over NBD, without root', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-story-nbd-'));
  const runsAs = process.getuid?.() === 0 ? 'nobody' : 'self';
  if (runsAs === 'nobody') chownSync(folder, NOBODY, NOBODY);
  const cluster = new Cluster(join(folder, 'cluster'), 23, { runsAs });
  const context = storyOn(cluster, new Blocks(SEED), (text) => console.log(`    ${text}`));

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
