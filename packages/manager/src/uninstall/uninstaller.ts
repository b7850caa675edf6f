/**
 * `longhorn-manager uninstall`: takes an installation down, volumes and all. It refuses unless the setting
 * deleting-confirmation-flag is true; the flag guards data, so an installation without any object of ours goes without
 * it. It can be ended and started again at any point: what is gone is gone, and the flag goes last of all.
 */
import type { Logger } from 'pino';
import { LABEL, MANAGED_BY, OBJECT_NAME, type CrdKind } from '@longhorn/shared-types';
import { pause, type Clock } from '../clock.ts';
import { CORE_RESOURCES, decodePod } from '../datastore/core-kinds.ts';
import {
  isConflict,
  isNotFound,
  type KubeTransport,
  type RawObject,
  type Resource,
} from '../datastore/kube-transport.ts';
import { readyNodes } from '../datastore/kube-nodes.ts';
import {
  AFTER_MANAGERS,
  customResource,
  DRIVER,
  MANAGERS,
  REST,
  WITH_MANAGERS,
  type NamedObject,
} from './inventory.ts';
import { uninstallLimits } from './limits.ts';
import { managersAreReady, refusal, removalOf, volumesInUse } from './plan.ts';

export interface Uninstaller {
  transport: KubeTransport;
  namespace: string;
  force: boolean;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

const FLAG = 'deleting-confirmation-flag';

async function find(u: Uninstaller, resource: Resource, name: string): Promise<RawObject | null> {
  try {
    return await u.transport.get(resource, resource.namespaced ? u.namespace : '', name);
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** The objects of a kind; none when the kind itself is gone. */
async function listKind(u: Uninstaller, kind: CrdKind): Promise<RawObject[]> {
  try {
    return (await u.transport.list(customResource(kind), u.namespace)).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

async function tolerant(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    // Somebody else was there first: the next look tells what is left.
    if (!isNotFound(error) && !isConflict(error)) throw error;
  }
}

async function remove(u: Uninstaller, resource: Resource, object: RawObject, graceMs: number): Promise<void> {
  const { name } = object.metadata;
  const namespace = resource.namespaced ? u.namespace : '';
  const removal = removalOf(object, u.clock.now(), graceMs);
  if (removal === 'wait') return;
  u.log.info({ kind: resource.kind, name }, removal);
  if (removal === 'delete') {
    await tolerant(u.transport.delete(resource, namespace, name, { propagationPolicy: 'Background' }));
  } else {
    await tolerant(u.transport.patch(resource, namespace, name, { metadata: { finalizers: null } }));
  }
}

/** Repeats a look until it finds nothing left. */
async function until(u: Uninstaller, phase: string, look: () => Promise<string[]>): Promise<void> {
  const deadlineMs = u.clock.now() + uninstallLimits.phaseMs;
  let told = '';
  for (;;) {
    const left = await look();
    if (left.length === 0) return;
    const text = left.slice(0, 10).join(', ');
    if (text !== told) u.log.info({ phase, left: left.length, first: text }, 'waiting until they are gone');
    told = text;
    if (u.clock.now() >= deadlineMs) throw new Error(`${phase}: still there: ${text}`);
    await pause(u.clock, uninstallLimits.retryMs, u.signal);
    u.signal.throwIfAborted();
  }
}

async function removeKinds(u: Uninstaller, kinds: readonly CrdKind[], graceMs: number): Promise<void> {
  for (const kind of kinds) {
    await until(u, `removing ${kind}`, async () => {
      const objects = await listKind(u, kind);
      for (const object of objects) await remove(u, customResource(kind), object, graceMs);
      return objects.map(({ metadata }) => `${kind} ${metadata.name}`);
    });
  }
}

async function removeNamed(u: Uninstaller, objects: readonly NamedObject[], phase: string): Promise<void> {
  for (const { resource, name } of objects) {
    await until(u, phase, async () => {
      const object = await find(u, resource, name);
      if (object === null) return [];
      await remove(u, resource, object, Number.POSITIVE_INFINITY);
      return [`${resource.kind} ${name}`];
    });
  }
}

/**
 * Pods of managers and of what they made: their processes and devices are on the nodes as long as they are. On a node
 * that is lost nobody ends them: they go with the node.
 */
async function waitForPods(u: Uninstaller): Promise<void> {
  await until(u, 'pods', async () => {
    const alive = await readyNodes(u.transport);
    const pods = (await u.transport.list(CORE_RESOURCES.pods, u.namespace)).items.map(decodePod);
    return pods
      .filter(({ metadata, nodeName }) => isOurs(metadata.labels) && (nodeName === '' || alive.has(nodeName)))
      .map(({ metadata }) => `Pod ${metadata.name}`);
  });
}

function isOurs(labels: Record<string, string>): boolean {
  return labels['app'] === OBJECT_NAME.managerApp || labels[LABEL.managedBy] === MANAGED_BY;
}

async function hasAny(u: Uninstaller, kinds: readonly CrdKind[]): Promise<boolean> {
  for (const kind of kinds) if ((await listKind(u, kind)).length > 0) return true;
  return false;
}

/**
 * Nothing of ours is there: an earlier run got to its end, or no manager ever started. One may start right now: what it
 * makes then goes, too, but data that somebody made meanwhile is guarded by the flag again.
 */
async function uninstallEmpty(u: Uninstaller): Promise<void> {
  await removeNamed(u, [...MANAGERS, ...DRIVER], 'removing managers and the CSI driver');
  await waitForPods(u);
  const reason = (await hasAny(u, WITH_MANAGERS)) ? refusal(null) : null;
  if (reason !== null) throw new Error(reason);
  await removeKinds(u, AFTER_MANAGERS, 0);
  await removeNamed(u, REST, 'removing what is left');
}

/** Resolves when nothing is left but the chart's own objects and the data folders of nodes. */
export async function uninstall(u: Uninstaller): Promise<void> {
  const flag = await find(u, customResource('Setting'), FLAG).catch((error: unknown) => {
    throw new Error(`cannot read the setting ${FLAG}`, { cause: error });
  });
  if (flag === null && !(await hasAny(u, AFTER_MANAGERS))) return uninstallEmpty(u);
  const reason = refusal(flag);
  if (reason !== null) throw new Error(reason);
  const ready = managersAreReady(await find(u, CORE_RESOURCES.daemonSets, OBJECT_NAME.managerApp));
  if (!ready && !u.force) throw new Error('manager not ready, set --force to continue');
  const used = volumesInUse(await listKind(u, 'Volume'));
  if (used.length > 0 && !u.force) {
    throw new Error(`volume(s) are in use, set --force to continue: ${used.slice(0, 10).join(', ')}`);
  }
  if (ready) await removeKinds(u, WITH_MANAGERS, uninstallLimits.graceMs);
  await removeNamed(u, MANAGERS, 'removing managers');
  await removeNamed(u, DRIVER, 'removing the CSI driver');
  const withoutSettings = AFTER_MANAGERS.filter((kind) => kind !== 'Setting');
  await removeKinds(u, withoutSettings, 0);
  await waitForPods(u);
  await removeNamed(u, REST, 'removing what is left');
  await removeKinds(u, ['Setting'], 0);
  u.log.info('Longhorn is uninstalled; data folders stay on the nodes');
}
