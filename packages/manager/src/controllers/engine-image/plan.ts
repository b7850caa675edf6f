/** The status of an engine image from its pods, its users and its binary. Pure. */
import type { EngineImage, Node } from '@longhorn/shared-types';
import { parseTime, rfc3339 } from '../../clock.ts';
import type { Pod } from '../../datastore/core-kinds.ts';
import { limits } from '../../limits.ts';
import type { EngineVersions } from '../../io/engine-binary.ts';
import { isTrue, setCondition } from '../conditions.ts';

/** Oldest command line that this manager can drive. */
export const CLI_API_MIN_VERSION = 3;
export const CLI_API_VERSION = 10;

export interface EngineImageWorld {
  nowMs: number;
  image: EngineImage;
  isDefault: boolean;
  hasDaemonSet: boolean;
  nodes: readonly Node[];
  /** Pods of the DaemonSet. */
  pods: readonly Pod[];
  refCount: number;
  /** Null: the binary was not asked yet, or cannot be. */
  versions: EngineVersions | null;
}

export interface EngineImagePlan {
  status: EngineImage['status'];
  createDaemonSet: boolean;
  expired: boolean;
  requeueAtMs: number | null;
}

export function planEngineImage(world: EngineImageWorld): EngineImagePlan {
  const { image, nowMs } = world;
  const status = structuredClone(image.status);
  const plan: EngineImagePlan = { status, createDaemonSet: false, expired: false, requeueAtMs: null };
  countUsers(world, plan);
  status.nodeDeploymentMap = Object.fromEntries(
    world.nodes
      .map((node): [string, boolean] => [
        node.metadata.name,
        world.pods.some((pod) => pod.nodeName === node.metadata.name && pod.phase === 'Running' && pod.containersReady),
      ])
      .toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
  if (world.versions !== null) Object.assign(status, world.versions);
  const notReady = (reason: string, message: string): EngineImagePlan => {
    setCondition(status.conditions, { type: 'ready', status: 'False', reason, message }, nowMs);
    status.state = 'deploying';
    return plan;
  };
  const { name } = image.metadata;
  if (!world.hasDaemonSet) {
    plan.createDaemonSet = true;
    return notReady('daemonSet', `creating daemon set engine-image-${name} for ${image.spec.image}`);
  }
  if (
    world.versions !== null &&
    (status.cliAPIVersion < CLI_API_MIN_VERSION || status.cliAPIMinVersion > CLI_API_VERSION)
  ) {
    status.incompatible = true;
    return notReady('binary', 'incompatible');
  }
  status.incompatible = false;
  const ready = world.nodes.filter((node) => isTrue(node.status.conditions, 'Ready'));
  const deployed = ready.filter((node) => status.nodeDeploymentMap[node.metadata.name] === true).length;
  if (deployed < ready.length || deployed === 0)
    return notReady('daemonSet', `Engine image is not fully deployed on all nodes: ${deployed} of ${ready.length}`);
  const message = `Engine image ${name} (${image.spec.image}) is fully deployed on all ready nodes`;
  setCondition(status.conditions, { type: 'ready', status: 'True', message }, nowMs);
  status.state = 'deployed';
  return plan;
}

function countUsers({ isDefault, refCount, nowMs }: EngineImageWorld, plan: EngineImagePlan): void {
  const { status } = plan;
  status.refCount = refCount;
  if (refCount > 0) {
    status.noRefSince = '';
    return;
  }
  if (status.noRefSince === '') status.noRefSince = rfc3339(nowMs);
  if (isDefault) return;
  const expiresMs = (parseTime(status.noRefSince) ?? nowMs) + limits.engineImageExpiryMs;
  if (expiresMs <= nowMs) plan.expired = true;
  else plan.requeueAtMs = expiresMs;
}
