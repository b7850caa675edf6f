/** Images: our five and the tests' stand-ins, built into the local docker and handed to the nodes. */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { run } from '../src/shell.ts';
import { workers } from './nodes.ts';

export const ROOT = resolve(import.meta.dirname, '../../..');
export const WORKLOAD_IMAGE = 'longhorn-e2e/workload:1';
export const DATABASE_IMAGE = 'mysql:5.7';
const OUR_IMAGES = ['engine', 'instance-manager', 'manager', 'csi', 'ui'].map(
  (name) => `longhornio/longhorn-${name}:v1.10.1`,
);
const BUILD_MS = 900_000;

/** Builds our images from the checkout. */
export async function buildImages(): Promise<void> {
  const args = ['run-many', '-t', 'image', '--output-style=static', '--parallel=2'];
  await run(join(ROOT, 'node_modules/.bin/nx'), args, { timeoutMs: BUILD_MS });
}

/** Builds what the tests' pods run. */
export async function buildStandIns(): Promise<void> {
  const folders = { workload: WORKLOAD_IMAGE, mysql: DATABASE_IMAGE };
  for (const [folder, image] of Object.entries(folders)) {
    const args = ['build', '--quiet', '--network=host', '--tag', image, join(import.meta.dirname, 'stand-ins', folder)];
    await run('docker', args, { timeoutMs: BUILD_MS });
  }
}

/** Hands images to containerd on every node that takes pods. */
export async function loadImages(
  images: readonly string[] = [...OUR_IMAGES, WORKLOAD_IMAGE, DATABASE_IMAGE],
): Promise<void> {
  for (const node of await workers()) await loadTo(node, images);
}

function loadTo(node: string, images: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const importing = [
      'exec',
      '--interactive',
      node,
      'ctr',
      '--namespace=k8s.io',
      'images',
      'import',
      '--all-platforms',
      '-',
    ];
    const save = spawn('docker', ['save', ...images], { stdio: ['ignore', 'pipe', 'inherit'] });
    const load = spawn('docker', importing, { stdio: [save.stdout, 'ignore', 'inherit'] });
    save.stdout.destroy();
    load.once('error', reject);
    load.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`loading images to ${node} ended with ${code}`));
    });
  });
}
