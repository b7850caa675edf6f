/** Operations on volumes as a user does them, and waiting for what must follow. */
import { waitFor } from '@longhorn/engine/testing/wait';
import { at, type Kube, type KubeObject } from './kube.ts';
import type { Rest } from './rest.ts';

export interface System {
  kube: Kube;
  rest: Rest;
}

/** A Volume object as a person writes it. */
export function volumeManifest(
  name: string,
  sizeBytes: number,
  replicas: number,
  extra: Record<string, unknown> = {},
): KubeObject {
  return {
    apiVersion: 'longhorn.io/v1beta2',
    kind: 'Volume',
    metadata: { name, namespace: 'longhorn-system' },
    spec: { size: String(sizeBytes), numberOfReplicas: replicas, frontend: 'blockdev', dataEngine: 'v1', ...extra },
  };
}

export async function engineOf(system: System, volume: string): Promise<KubeObject> {
  const [engine] = await enginesOf(system, volume);
  if (engine === undefined) throw new Error(`volume ${volume} has no engine object`);
  return engine;
}

async function enginesOf(system: System, volume: string): Promise<KubeObject[]> {
  return (await system.kube.list('engines')).filter((object) => at(object, 'spec.volumeName') === volume);
}

export async function replicasOf(system: System, volume: string): Promise<KubeObject[]> {
  return (await system.kube.list('replicas')).filter((object) => at(object, 'spec.volumeName') === volume);
}

/** Modes of a volume's replicas as its engine sees them: `RW`, `WO`, `ERR`. */
export async function replicaModes(system: System, volume: string): Promise<string[]> {
  const map = at(await engineOf(system, volume), 'status.replicaModeMap');
  return typeof map === 'object' && map !== null ? Object.values(map).map(String) : [];
}

/** All that explains a volume's state, for messages of failed waits. The outline comes last: where output is cut, its end stays. */
export async function describeVolume(system: System, volume: string): Promise<string> {
  const object = await system.kube.get('volumes', volume);
  const attachment = await system.kube.get('volumeattachments', volume);
  const engines = await enginesOf(system, volume);
  const whole = {
    volume: { spec: object?.spec, status: object?.status },
    attachment: { spec: attachment?.spec, status: attachment?.status },
    engines: engines.map((e) => ({ spec: e.spec, status: { ...e.status, snapshots: undefined } })),
  };
  return `${JSON.stringify(whole)}\n${await outlineVolume(system, volume)}`;
}

/** The same in a few lines. */
export async function outlineVolume(system: System, volume: string): Promise<string> {
  const object = await system.kube.get('volumes', volume);
  const replicas = await replicasOf(system, volume);
  const engines = await enginesOf(system, volume);
  const words = (holder: unknown, ...paths: string[]): string =>
    paths.map((path) => `${path.replace(/^.*\./, '')}=${JSON.stringify(at(holder, path))}`).join(' ');
  return [
    `${volume}: ${words(object, 'spec.nodeID', 'status.currentNodeID', 'status.ownerID', 'status.state', 'status.frontendDisabled', 'status.robustness', 'status.blockedBy')}`,
    ...engines.map(
      (engine) =>
        `  ${engine.metadata.name}: ${words(engine, 'spec.nodeID', 'spec.desireState', 'spec.epoch', 'spec.replicaAddressMap', 'status.ownerID', 'status.instanceManagerName', 'status.started', 'status.starting', 'status.currentState', 'status.currentEpoch', 'status.membership', 'status.ioState', 'status.ioReason', 'status.ioSince', 'status.replicaModeMap', 'status.endpoint')}`,
    ),
    ...replicas.map(
      (replica) =>
        `  ${replica.metadata.name}: ${words(replica, 'spec.nodeID', 'spec.desireState', 'status.currentState', 'spec.failedAt', 'spec.healthyAt', 'spec.rebuildRetryCount', 'status.storageIP', 'status.port')}`,
    ),
    `now: ${new Date().toISOString()}`,
  ].join('\n');
}

export async function waitState(
  system: System,
  volume: string,
  state: string,
  timeoutMs = 60_000,
): Promise<KubeObject> {
  return waitFor(
    `volume ${volume} becomes ${state}`,
    timeoutMs,
    async () => {
      const object = await system.kube.get('volumes', volume);
      return at(object, 'status.state') === state && object;
    },
    () => describeVolume(system, volume),
  );
}

/** Attached with all replicas RW, no more and no fewer than wanted, and nothing blocked. */
export async function waitHealthy(system: System, volume: string, timeoutMs = 120_000): Promise<KubeObject> {
  return waitFor(
    `volume ${volume} becomes healthy`,
    timeoutMs,
    async () => {
      const object = await system.kube.get('volumes', volume);
      if (at(object, 'status.state') !== 'attached' || at(object, 'status.robustness') !== 'healthy') return null;
      const wanted = at(object, 'spec.numberOfReplicas');
      const replicas = await replicasOf(system, volume);
      const modes = await replicaModes(system, volume);
      const settled =
        replicas.length === wanted &&
        modes.length === wanted &&
        modes.every((mode) => mode === 'RW') &&
        ((at(object, 'status.blockedBy') ?? []) as unknown[]).length === 0;
      return settled && object;
    },
    () => describeVolume(system, volume),
  );
}

export async function waitRobustness(
  system: System,
  volume: string,
  robustness: string,
  timeoutMs: number,
): Promise<void> {
  await waitFor(
    `volume ${volume} becomes ${robustness}`,
    timeoutMs,
    async () => at(await system.kube.get('volumes', volume), 'status.robustness') === robustness,
    () => describeVolume(system, volume),
  );
}

/** Attaches by REST and waits until the endpoint is there (in maintenance mode: until attached). */
export async function attach(system: System, volume: string, node: string, maintenance = false): Promise<string> {
  await system.rest.action(volume, 'attach', {
    hostId: node,
    disableFrontend: maintenance,
    attachedBy: 'e2e',
    attachmentID: '',
  });
  await waitFor(
    `volume ${volume} is attached to ${node}`,
    90_000,
    async () => {
      const object = await system.kube.get('volumes', volume);
      return at(object, 'status.state') === 'attached' && at(object, 'status.currentNodeID') === node;
    },
    () => describeVolume(system, volume),
  );
  if (maintenance) return '';
  return waitFor(
    `volume ${volume} has an endpoint`,
    30_000,
    async () => {
      const endpoint = at(await engineOf(system, volume), 'status.endpoint');
      return typeof endpoint === 'string' && endpoint !== '' && endpoint;
    },
    () => describeVolume(system, volume),
  );
}

export async function detach(system: System, volume: string, force = false): Promise<void> {
  await system.rest.action(volume, 'detach', force ? { forceDetach: true } : { attachmentID: '' });
  await waitState(system, volume, 'detached', 90_000);
}

/** Deletes a volume and waits until none of its objects is left. */
export async function deleteVolume(system: System, volume: string): Promise<void> {
  await system.kube.delete('volumes', volume);
  await waitFor(
    `volume ${volume} and its objects are gone`,
    90_000,
    async () =>
      (await system.kube.get('volumes', volume)) === null &&
      (await replicasOf(system, volume)).length === 0 &&
      !(await system.kube.list('engines')).some((e) => at(e, 'spec.volumeName') === volume),
    () => describeVolume(system, volume),
  );
}

/** Sets a setting by its object. */
export async function setSetting(system: System, name: string, value: string): Promise<void> {
  await system.kube.merge('settings', name, { value });
}
