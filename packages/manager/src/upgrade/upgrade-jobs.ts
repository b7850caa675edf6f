/**
 * What Helm runs around an upgrade. Before: may one go from the installed version to this one? Then stored objects are
 * brought to the version that the new definitions serve. After: do all managers run the new image?
 *
 * Both only look, but for the stored versions, and can be started again at any point.
 */
import { OBJECT_NAME } from '@longhorn/shared-types';
import type { Logger } from 'pino';
import { pause, rfc3339, type Clock } from '../clock.ts';
import { CORE_RESOURCES, EVENT_RESOURCE } from '../datastore/core-kinds.ts';
import { isNotFound, type KubeTransport, type RawObject } from '../datastore/kube-transport.ts';
import { readyNodes } from '../datastore/kube-nodes.ts';
import { CLI_API_MIN_VERSION, CLI_API_VERSION } from '../controllers/engine-image/plan.ts';
import { customResource } from '../uninstall/inventory.ts';
import { upgradeLimits } from './limits.ts';
import { migrateStoredVersions } from './stored-versions.ts';
import { upgradeRefusal } from './version-path.ts';

export interface UpgradeJob {
  transport: KubeTransport;
  namespace: string;
  /** that this program brings */
  version: string;
  isVersionChecked: boolean;
  clock: Clock;
  log: Logger;
  /** Makes the event's name unique. */
  suffix: () => string;
  signal: AbortSignal;
}

type Json = Record<string, unknown>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(record) : []);

async function tell(
  job: UpgradeJob,
  name: string,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
): Promise<void> {
  const now = rfc3339(job.clock.now());
  const event: RawObject = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${job.suffix()}`, namespace: job.namespace },
    involvedObject: { apiVersion: 'batch/v1', kind: 'Job', name, namespace: job.namespace },
    type,
    reason,
    message,
    source: { component: name },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
  try {
    await job.transport.create(EVENT_RESOURCE, job.namespace, event);
  } catch (error) {
    // The log has it, too: an event that cannot be written is no reason to refuse, nor to go on.
    job.log.warn({ err: error, reason, message }, 'the event could not be written');
  }
}

/** Runs a job and says how it went, as an event and as its outcome. `work` resolves to what is good. */
async function announced(job: UpgradeJob, name: string, failure: string, work: () => Promise<string>): Promise<void> {
  let good: string;
  try {
    good = await work();
  } catch (error) {
    await tell(job, name, 'Warning', failure, error instanceof Error ? error.message : String(error));
    throw error;
  }
  await tell(job, name, 'Normal', 'PassedUpgradeCheck', good);
  job.log.info(good);
}

async function currentVersion({ transport, namespace }: UpgradeJob): Promise<string> {
  try {
    const setting = await transport.get(customResource('Setting'), namespace, 'current-longhorn-version');
    return typeof setting['value'] === 'string' ? setting['value'] : '';
  } catch (error) {
    // Neither the setting nor its kind: a new installation.
    if (isNotFound(error)) return '';
    throw error;
  }
}

/** Engine images in use that this version could not talk to. */
async function engineRefusal({ transport, namespace }: UpgradeJob): Promise<string | null> {
  const { items } = await transport.list(customResource('EngineImage'), namespace);
  for (const image of items) {
    const { refCount, cliAPIVersion, cliAPIMinVersion } = record(image['status']);
    if (typeof cliAPIVersion !== 'number' || cliAPIVersion === 0 || refCount === 0) continue;
    const least = typeof cliAPIMinVersion === 'number' ? cliAPIMinVersion : 0;
    if (cliAPIVersion < CLI_API_MIN_VERSION || least > CLI_API_VERSION)
      return `failed checking Engine upgrade path: engine image ${String(record(image['spec'])['image'])} has CLI API version ${cliAPIVersion} (at least ${least}), supported are ${CLI_API_MIN_VERSION} to ${CLI_API_VERSION}: upgrade the engines of the volumes that use it first`;
  }
  return null;
}

/** Rejects when the upgrade must not go on. */
export function preUpgrade(job: UpgradeJob): Promise<void> {
  return announced(job, 'longhorn-pre-upgrade', 'FailedUpgradePreCheck', async () => {
    const good = 'pre-upgrade check passed';
    const current = await currentVersion(job);
    const refusal = upgradeRefusal(current, job.version, job.isVersionChecked);
    if (refusal !== null) throw new Error(refusal);
    if (current === '') return good;
    const engines = await engineRefusal(job);
    if (engines !== null) throw new Error(engines);
    await migrateStoredVersions(job.transport, job.namespace, job.log);
    return good;
  });
}

/** `longhorn…` containers of a pod's spec, by name. */
function imagesOf(spec: unknown): Map<string, string> {
  const containers = list(record(spec)['containers']).filter(({ name }) => String(name).startsWith('longhorn'));
  return new Map(containers.map(({ name, image }) => [String(name), String(image)]));
}

/** Of the managers. */
interface UpgradeState {
  /** Why it is not over; null: it is. */
  left: string | null;
  /** `POD on NODE` of old ones that cannot be replaced now: nothing happens to a pod on a node that is down. */
  onLostNodes: string[];
}

async function managersState({ transport, namespace }: UpgradeJob): Promise<UpgradeState> {
  const set = await transport.get(CORE_RESOURCES.daemonSets, namespace, OBJECT_NAME.managerApp);
  const { observedGeneration } = record(set['status']);
  if (observedGeneration !== set.metadata['generation'])
    return { left: 'the DaemonSet was not looked at yet', onLostNodes: [] };
  const wanted = imagesOf(record(record(set['spec'])['template'])['spec']);
  const ready = await readyNodes(transport);
  const { items } = await transport.list(CORE_RESOURCES.pods, namespace);
  const state: UpgradeState = { left: null, onLostNodes: [] };
  let upgraded = 0;
  for (const pod of items.filter(({ metadata }) => record(metadata['labels'])['app'] === OBJECT_NAME.managerApp)) {
    const { nodeName } = record(pod['spec']);
    const isLost = typeof nodeName === 'string' && !ready.has(nodeName);
    const problem = oldImage(pod, wanted);
    if (problem === null) upgraded += isLost ? 0 : 1;
    else if (isLost) state.onLostNodes.push(`${pod.metadata.name} on ${nodeName}`);
    else state.left ??= problem;
  }
  if (upgraded === 0) state.left ??= 'no manager runs on a node that is ready';
  return state;
}

function oldImage(pod: RawObject, wanted: ReadonlyMap<string, string>): string | null {
  const images = imagesOf(pod['spec']);
  for (const [name, image] of wanted)
    if (images.get(name) !== image)
      return `pod ${pod.metadata.name} runs ${images.get(name) ?? 'nothing'}, not ${image}`;
  return null;
}

/** Rejects when managers are not upgraded in time. Those on nodes that are not ready are named, not waited for. */
export function postUpgrade(job: UpgradeJob): Promise<void> {
  return announced(job, 'longhorn-post-upgrade', 'FailedUpgradePostCheck', async () => {
    for (let attempt = 1; ; attempt += 1) {
      const { left, onLostNodes } = await managersState(job);
      if (left === null) {
        if (onLostNodes.length === 0) return 'post-upgrade check passed';
        const rest = onLostNodes.length - upgradeLimits.namesInEventMax;
        const named = [
          ...onLostNodes.slice(0, upgradeLimits.namesInEventMax),
          ...(rest > 0 ? [`${rest} more`] : []),
        ].join(', ');
        return `post-upgrade check passed, but for managers on nodes that are not ready: ${named}. They follow when their nodes are back`;
      }
      job.log.info({ attempt, left, onLostNodes }, 'manager upgrade is still in progress');
      if (attempt >= upgradeLimits.triesMax) throw new Error(`manager upgrade is still in progress: ${left}`);
      await pause(job.clock, upgradeLimits.retryMs, job.signal);
      job.signal.throwIfAborted();
    }
  });
}
