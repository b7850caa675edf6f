/** What a failure leaves for people: one folder with logs, objects and events, and the one line that matters. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from '../src/kube.ts';
import { kubectl, NAMESPACE, type KubeObject } from './kubectl.ts';
import { nodeInventory } from './inventory.ts';
import { lineThatMatters } from './line-that-matters.ts';

const LOG_LINES = 3000;

/** What could not be had is written in the place of what was wanted: half a folder is better than none. */
async function orReason(read: () => Promise<string>): Promise<string> {
  try {
    return await read();
  } catch (error) {
    return `could not be read: ${error instanceof Error ? error.message : String(error)}\n`;
  }
}

function parsedItems(text: string): KubeObject[] {
  try {
    return (JSON.parse(text) as { items?: KubeObject[] }).items ?? [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/**
 * Collects into `folder` and answers the line.
 * @param failure message of the test that failed
 */
export async function collect(folder: string, failure: string): Promise<string> {
  mkdirSync(join(folder, 'logs'), { recursive: true });
  const save = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  save('failure.txt', `${failure}\n`);
  const everywhere = ['--all-namespaces', '--output', 'json'];
  const events = await orReason(() => kubectl(['get', 'events', ...everywhere]));
  save('events.json', events);
  const pods = await orReason(() => kubectl(['get', 'pods', ...everywhere]));
  save('pods.json', pods);
  save('pods.txt', await orReason(() => kubectl(['get', 'pods', '--all-namespaces', '--output', 'wide'])));
  for (const kind of ['pvc', 'pv', 'volumeattachments.storage.k8s.io', 'nodes'])
    save(`${kind}.yaml`, await orReason(() => kubectl(['get', kind, '--all-namespaces', '--output', 'yaml'])));
  for (const kind of [
    'volumes',
    'engines',
    'replicas',
    'instancemanagers',
    'nodes',
    'volumeattachments',
    'engineimages',
    'settings',
    'orphans',
  ])
    save(
      `longhorn-${kind}.yaml`,
      await orReason(() => kubectl(['get', `${kind}.longhorn.io`, '-n', NAMESPACE, '--output', 'yaml'])),
    );
  const logs: Record<string, string> = {};
  for (const { metadata, spec } of parsedItems(pods).filter((pod) => pod.metadata.namespace === NAMESPACE)) {
    const containers: unknown = at({ spec }, 'spec.containers');
    for (const container of Array.isArray(containers) ? containers : []) {
      const name = String(at(container, 'name'));
      const args = ['logs', metadata.name, '-n', NAMESPACE, '-c', name, `--tail=${LOG_LINES}`];
      const log = await orReason(() => kubectl(args));
      save(`logs/${metadata.name}.${name}.log`, log);
      logs[metadata.name] = (logs[metadata.name] ?? '') + log;
    }
  }
  save('nodes.txt', await orReason(async () => (await nodeInventory()).join('\n')));
  const line = lineThatMatters({ failure, pods: parsedItems(pods), events: parsedItems(events), logs });
  save('line.txt', `${line}\n`);
  return line;
}
