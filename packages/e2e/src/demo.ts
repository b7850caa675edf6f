/** `npm run demo`: tells the story on the running system (or on one of its own), step by step, and ends with what it measured. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Cluster } from './cluster.ts';
import { Blocks } from './story/blocks.ts';
import { storyOn } from './story/context.ts';
import { FileSystems } from './story/file-system.ts';
import { stepsWith } from './story/steps.ts';

const root = resolve(import.meta.dirname, '../../..');
const workDir = mkdtempSync(join(tmpdir(), 'longhorn-demo-'));
const cluster = Cluster.running(join(root, '.longhorn'));
const medium =
  process.getuid?.() === 0 ? new FileSystems(workDir, join(root, 'node_modules')) : new Blocks(process.pid);
const context = storyOn(cluster, medium, (text) => console.log(`   ${text}`));

if (process.getuid?.() !== 0)
  console.log(
    'Without root volumes are used over NBD; a power-cut kills a node and takes back what its replicas had not synced, but drops no packets.',
  );
await cluster.connect();
const begin = performance.now();
try {
  for (const step of stepsWith(context.medium)) {
    console.log(`\n${step.title}`);
    const start = performance.now();
    await step.run(context);
    console.log(`   done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
  console.log('\nMeasured:');
  for (const [name, figure] of context.figures) console.log(`   ${name}: ${figure}`);
  console.log(`   the whole story: ${((performance.now() - begin) / 60_000).toFixed(1)} min`);
  const pid = cluster.leave();
  if (pid !== null)
    console.log(`\nStep 7 ended npm start; the system runs on in the background: kill ${pid} stops it.`);
} finally {
  await context.medium.release();
  rmSync(workDir, { recursive: true, force: true });
}
