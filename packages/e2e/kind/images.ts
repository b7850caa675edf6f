/** Images: our five and the tests' stand-ins, built into the local docker and handed to the nodes. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from '../src/shell.ts';
import { onNode, workers } from './nodes.ts';

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

/** Tag of images of another commit than the checkout's. */
export const PREVIOUS_TAG = 'v1.10.1-previous';

/** Builds images of another commit, from a checkout of its own that is gone afterwards; answers their names. */
export async function buildCommit(commit: string, packages: readonly string[]): Promise<string[]> {
  const pattern = `longhornio/longhorn-{package}:${PREVIOUS_TAG}`;
  const folder = mkdtempSync(join(tmpdir(), 'longhorn-commit-'));
  const checkout = join(folder, 'checkout');
  try {
    await run('git', ['-C', ROOT, 'worktree', 'add', '--detach', checkout, commit]);
    const install = 'npm install --no-fund --no-audit --loglevel=error';
    const build = `node_modules/.bin/nx run-many -t image -p ${packages.map((name) => `@longhorn/${name}`).join(',')}`;
    const env = { ...process.env, LONGHORN_IMAGE: pattern, NX_DAEMON: 'false' };
    await run('sh', ['-c', `cd ${checkout} && ${install} && ${build}`], { timeoutMs: BUILD_MS, env });
  } finally {
    await run('git', ['-C', ROOT, 'worktree', 'remove', '--force', checkout]);
    rmSync(folder, { recursive: true, force: true });
  }
  return packages.map((name) => pattern.replace('{package}', name));
}

/** Builds what the tests' pods run. */
export async function buildStandIns(): Promise<void> {
  const folders = { workload: WORKLOAD_IMAGE, mysql: DATABASE_IMAGE };
  for (const [folder, image] of Object.entries(folders)) {
    const args = ['build', '--quiet', '--network=host', '--tag', image, join(import.meta.dirname, 'stand-ins', folder)];
    await run('docker', args, { timeoutMs: BUILD_MS });
  }
}

/** Hands images to containerd on every node that takes pods, as far as they are not there already. */
export async function loadImages(
  images: readonly string[] = [...OUR_IMAGES, WORKLOAD_IMAGE, DATABASE_IMAGE],
): Promise<void> {
  const ids = new Map<string, string>();
  for (const image of images)
    ids.set(image, (await run('docker', ['image', 'inspect', '--format', '{{.Id}}', image])).trim());
  for (const node of await workers()) {
    const missing = await missingOn(node, ids);
    if (missing.length > 0) await loadTo(node, missing);
  }
}

/** Of images by name and id those that containerd does not have under this name. */
async function missingOn(node: string, ids: ReadonlyMap<string, string>): Promise<string[]> {
  const rows = (await onNode(node, "ctr --namespace=k8s.io images ls | awk '{print $1, $3}'")).split('\n');
  // Kubernetes keeps each image under its id too, with the same digest.
  const digests = new Map(
    rows.map((row): [string, string | undefined] => [row.split(' ')[0] ?? '', row.split(' ')[1]]),
  );
  const fullName = (image: string): string => `docker.io/${image.includes('/') ? image : `library/${image}`}`;
  return [...ids]
    .filter(([image, id]) => digests.get(id) === undefined || digests.get(fullName(image)) !== digests.get(id))
    .map(([image]) => image);
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
