/**
 * `node tools/chart/manifest.ts`: deploy/longhorn.yaml, the chart for those without Helm: its objects with the default
 * values in the namespace longhorn-system, without the hooks and without labels that speak of Helm.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
export const MANIFEST = join(root, 'deploy/longhorn.yaml');
const HEAD = `# Made by \`node tools/chart/manifest.ts\` from charts/longhorn. Do not edit.
#
#     kubectl apply --server-side -f longhorn.yaml
#
# Removing it: see docs/install.md; deleting these objects first would leave volumes behind.
`;

/** The chart's objects as Helm renders them. `values`: arguments such as `--set a=b`. */
export function renderChart(values: readonly string[]): string {
  return execFileSync(
    'helm',
    [
      'template',
      'longhorn',
      join(root, 'charts/longhorn'),
      '--namespace=longhorn-system',
      '--kube-version=1.34.0',
      ...values,
    ],
    { encoding: 'utf8', maxBuffer: 64 << 20 },
  );
}

/** Content of deploy/longhorn.yaml. */
export function manifest(): string {
  const objects = renderChart(['--no-hooks', '--set', 'namespace.create=true'])
    .split(/^---\n/m)
    .map((object) => object.replace(/^# Source: .*\n/m, '').trim())
    .filter((object) => object !== '')
    .map((object) => object.replaceAll(/^ +(helm\.sh\/chart|app\.kubernetes\.io\/managed-by): .*\n/gm, ''));
  // Helm sorts by kind, but for a namespace that is made with the rest it must be first.
  const isNamespace = (object: string): boolean => /^kind: Namespace$/m.test(object);
  return `${HEAD}---\n${[...objects.filter(isNamespace), ...objects.filter((object) => !isNamespace(object))].join('\n---\n')}\n`;
}

if (import.meta.main) {
  mkdirSync(join(root, 'deploy'), { recursive: true });
  writeFileSync(MANIFEST, manifest());
}
