/**
 * `longhorn-manager deploy-driver`: waits for the API, then brings the objects of the CSI driver to what is wanted, and
 * stays. Every step may be repeated: a crash anywhere is mended by the next start.
 */
import type { Logger } from 'pino';
import { API_GROUP, API_VERSION_NAME } from '@longhorn/shared-types';
import { pause, type Clock } from '../clock.ts';
import { CORE_RESOURCES } from '../datastore/core-kinds.ts';
import {
  ApiError,
  isAlreadyExists,
  isConflict,
  isNotFound,
  type KubeTransport,
  type RawObject,
  type Resource,
} from '../datastore/kube-transport.ts';
import { decide } from './difference.ts';
import {
  detectionPod,
  detectionPodName,
  foundCommandLine,
  KUBELET_ROOT_DEFAULT,
  rootOfCommandLine,
  type ProcessToFind,
} from './kubelet-root.ts';
import { deployerLimits } from './limits.ts';
import { SIDECARS, type DriverOptions } from './options.ts';
import { csiDriver, pluginDaemonSet } from './plugin.ts';
import { readPodSettings, type PodSettings } from './settings.ts';
import { sidecarDeployment } from './sidecars.ts';

const RESOURCES: Record<string, Resource> = {
  Deployment: { group: 'apps', version: 'v1', plural: 'deployments', kind: 'Deployment', namespaced: true },
  DaemonSet: CORE_RESOURCES.daemonSets,
  CSIDriver: { group: 'storage.k8s.io', version: 'v1', plural: 'csidrivers', kind: 'CSIDriver', namespaced: false },
};
const NODE: Resource = {
  group: API_GROUP,
  version: API_VERSION_NAME,
  plural: 'nodes',
  kind: 'Node',
  namespaced: true,
};

export interface Deployer {
  options: DriverOptions;
  version: string;
  transport: KubeTransport;
  fetch: typeof fetch;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

async function rest(deployer: Deployer, ms: number): Promise<void> {
  await pause(deployer.clock, ms, deployer.signal);
  deployer.signal.throwIfAborted();
}

/** Ends when the API answers 200. There is no limit: nothing can be done before, and each wait is told. */
async function waitForBackend(deployer: Deployer): Promise<void> {
  const { options, log } = deployer;
  for (let attempt = 1; ; attempt += 1) {
    let reason: string;
    try {
      const signal = AbortSignal.any([deployer.signal, AbortSignal.timeout(deployerLimits.backendCallTimeoutMs)]);
      const response = await deployer.fetch(options.managerUrl, { signal });
      await response.body?.cancel();
      if (response.status === 200) return;
      reason = `status ${response.status}`;
    } catch (error) {
      deployer.signal.throwIfAborted();
      const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : '';
      reason = (error instanceof Error ? error.message : String(error)) + cause;
    }
    log.info({ url: options.managerUrl, attempt, reason }, 'waiting for the Longhorn API to answer 200');
    await rest(deployer, deployerLimits.backendRetryMs);
  }
}

function mountPropagation(node: RawObject): string {
  const conditions = record(node['status'])['conditions'];
  const found = Array.isArray(conditions)
    ? conditions.map(record).find((condition) => condition['type'] === 'MountPropagation')
    : undefined;
  return typeof found?.['status'] === 'string' ? found['status'] : 'Unknown';
}

/** Every node's manager must pass mounts on to its host; a node that does not know yet is asked again. */
async function checkMountPropagation(deployer: Deployer): Promise<void> {
  const { transport, options } = deployer;
  const { items } = await transport.list(NODE, options.namespace);
  for (const { metadata } of items) {
    let state = 'Unknown';
    for (let attempt = 0; attempt < deployerLimits.propagationTriesMax && state === 'Unknown'; attempt += 1) {
      if (attempt > 0) await rest(deployer, deployerLimits.propagationRetryMs);
      state = mountPropagation(await transport.get(NODE, options.namespace, metadata.name));
    }
    if (state !== 'True') {
      throw new Error(
        `CSI cannot be deployed because MountPropagation is not set: node ${metadata.name} is not support mount propagation`,
      );
    }
  }
}

function isNotFoundOr<T>(otherwise: T): (error: unknown) => T {
  return (error) => {
    if (isNotFound(error)) return otherwise;
    throw error;
  };
}

async function remove(deployer: Deployer, resource: Resource, namespace: string, name: string): Promise<void> {
  const { transport } = deployer;
  await transport.delete(resource, namespace, name, { propagationPolicy: 'Foreground' }).catch(isNotFoundOr(undefined));
  for (let attempt = 0; attempt < deployerLimits.goneTriesMax; attempt += 1) {
    const present = await transport.get(resource, namespace, name).catch(isNotFoundOr(null));
    if (present === null) return;
    await rest(deployer, deployerLimits.goneRetryMs);
  }
  throw new Error(`${resource.kind} ${name} was not gone within ${deployerLimits.goneTriesMax} seconds`);
}

/** The termination message of a detection pod that has ended well. */
async function detectionMessage(deployer: Deployer, name: ProcessToFind): Promise<string> {
  const { transport, options } = deployer;
  const podName = detectionPodName(name);
  for (let attempt = 0; attempt < deployerLimits.detectionTriesMax; attempt += 1) {
    const status = record((await transport.get(CORE_RESOURCES.pods, options.namespace, podName))['status']);
    if (status['phase'] === 'Succeeded') {
      const containers = Array.isArray(status['containerStatuses']) ? status['containerStatuses'] : [];
      const terminated = record(record(record(containers[0])['state'])['terminated']);
      return typeof terminated['message'] === 'string' ? terminated['message'].trimEnd() : '';
    }
    if (status['phase'] === 'Failed') throw new Error(`proc cmdline detection pod ${podName} failed`);
    await rest(deployer, deployerLimits.detectionRetryMs);
  }
  throw new Error(
    `proc cmdline detection pod ${podName} didn't complete within ${deployerLimits.detectionTriesMax} seconds`,
  );
}

async function commandLineOf(deployer: Deployer, name: ProcessToFind, settings: PodSettings): Promise<string[] | null> {
  const { transport, options } = deployer;
  const { pods } = CORE_RESOURCES;
  await remove(deployer, pods, options.namespace, detectionPodName(name));
  await transport.create(pods, options.namespace, detectionPod(name, options, settings));
  try {
    return foundCommandLine(await detectionMessage(deployer, name), name);
  } finally {
    await transport.delete(pods, options.namespace, detectionPodName(name), {}).catch(isNotFoundOr(undefined));
  }
}

async function findKubeletRoot(deployer: Deployer, settings: PodSettings): Promise<string> {
  if (deployer.options.kubeletRootDir !== '') return deployer.options.kubeletRootDir;
  const wayOut = 'failed to get arg root-dir. Need to specify "--kubelet-root-dir" in your Longhorn deployment yaml.';
  try {
    const kubelet = await commandLineOf(deployer, 'kubelet', settings);
    if (kubelet !== null) return rootOfCommandLine(kubelet);
    if ((await commandLineOf(deployer, 'k3s', settings)) !== null) return KUBELET_ROOT_DEFAULT;
  } catch (error) {
    throw new Error(`${wayOut}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  throw new Error(`${wayOut}: failed to get kubelet root dir, no related proc for root-dir detection, error out`);
}

/** Brings one object to what is wanted. Returns what was done. */
async function apply(deployer: Deployer, wanted: RawObject): Promise<string> {
  const { transport, log } = deployer;
  const resource = RESOURCES[wanted.kind ?? ''];
  if (resource === undefined) throw new Error(`no resource for ${wanted.kind}`);
  const { name } = wanted.metadata;
  const namespace = resource.namespaced ? deployer.options.namespace : '';
  for (let attempt = 1; ; attempt += 1) {
    const present = await transport.get(resource, namespace, name).catch(isNotFoundOr(null));
    const step = decide(present, wanted);
    try {
      if (step.kind === 'nothing') return step.kind;
      log.info({ kind: resource.kind, name, step: step.kind }, 'changing an object of the driver');
      if (step.kind === 'update') await transport.replace(resource, namespace, step.object, '');
      else {
        if (step.kind !== 'create') await remove(deployer, resource, namespace, name);
        await transport.create(resource, namespace, wanted);
      }
      return step.kind;
    } catch (error) {
      if (attempt >= deployerLimits.applyTriesMax) throw error;
      // A field that cannot be changed: the object is made anew.
      if (error instanceof ApiError && error.status === 422 && step.kind === 'update') {
        await remove(deployer, resource, namespace, name);
      } else if (!isConflict(error) && !isAlreadyExists(error) && !isNotFound(error)) throw error;
    }
  }
}

/** The objects in the order of their creation. */
export function wantedObjects(
  options: DriverOptions,
  settings: PodSettings,
  kubeletRoot: string,
  version: string,
): RawObject[] {
  return [
    csiDriver(version),
    ...SIDECARS.map((name) => sidecarDeployment(name, options, settings, kubeletRoot, version)),
    pluginDaemonSet(options, settings, kubeletRoot, version),
  ];
}

/** Resolves when everything is as wanted, with what was done to each object. */
export async function deployDriver(deployer: Deployer): Promise<Record<string, string>> {
  const { options, transport, log, version } = deployer;
  await waitForBackend(deployer);
  await checkMountPropagation(deployer);
  const settings = await readPodSettings(transport, options.namespace);
  const kubeletRoot = await findKubeletRoot(deployer, settings);
  log.info({ kubeletRoot }, 'found the root folder of kubelet');
  const steps: Record<string, string> = {};
  for (const wanted of wantedObjects(options, settings, kubeletRoot, version)) {
    steps[wanted.metadata.name] = await apply(deployer, wanted);
  }
  log.info({ steps }, 'CSI deployment done');
  return steps;
}
