/** Rules for nodes and their disks. */
import { isAbsolute, normalize } from 'node:path';
import { ANNOTATION, tagProblem, validateSetting, type Node } from '@longhorn/shared-types';
import { settingOf, type AdmissionFacts } from './admission-facts.ts';
import { isJsonObject, objectAt, setDefault, type JsonObject } from './json-object.ts';
import { forbidden, invalid, type Problem } from './problem.ts';
import { addFinalizer, normalTags } from './shared-mutations.ts';

/** Changes a new or updated node in place. */
export function mutateNode(object: JsonObject): void {
  const spec = objectAt(object, 'spec');
  normalTags(spec);
  for (const disk of Object.values(objectAt(spec, 'disks'))) {
    if (!isJsonObject(disk)) continue;
    normalTags(disk);
    setDefault(disk, 'diskType', 'filesystem');
    if (disk['diskType'] === 'block') setDefault(disk, 'diskDriver', 'auto');
  }
  addFinalizer(object);
}

/** What is wrong with a new node. */
export function validateNewNode(node: Node, facts: AdmissionFacts): Problem[] {
  return [...validateCpuRequest(node, facts), ...validateDisks(node, null, facts)];
}

/** What is wrong with the change of a node. */
export function validateUpdatedNode(node: Node, old: Node, facts: AdmissionFacts): Problem[] {
  const { name } = node.metadata;
  const problems = [...validateCpuRequest(node, facts), ...validateTags(node), ...validateDisks(node, old, facts)];
  if (node.spec.evictionRequested && node.spec.allowScheduling) {
    problems.push(
      invalid(
        'spec.evictionRequested',
        `need to disable scheduling on node ${name} for node eviction, or cancel eviction to enable scheduling on this node`,
      ),
    );
  }
  if (node.spec.name === '')
    problems.push(invalid('spec.name', "node name is invalid. You can't have a Spec.Name empty"));
  if (JSON.stringify(node.spec.disks) !== JSON.stringify(old.spec.disks)) {
    const wanted = Object.keys(old.spec.disks).toSorted();
    const known = Object.keys(old.status.diskStatus).toSorted();
    if (wanted.join('\n') !== known.join('\n')) {
      return [
        forbidden(`spec and status of disks on node ${name} are being syncing and please retry later.`, 'spec.disks'),
      ];
    }
    problems.push(...validateRemovedDisks(node, old));
  }
  return problems;
}

/** Why a node may not be deleted: it or its manager must be gone, and nothing may be left on it. */
export function validateDeletedNode(node: Node, facts: AdmissionFacts): Problem[] {
  if (node.metadata.annotations[ANNOTATION.deleteNodeFromLonghorn] !== undefined) return [];
  const ready = node.status.conditions.find(({ type }) => type === 'Ready');
  const isGone =
    ready !== undefined &&
    ready.status !== 'True' &&
    ['KubernetesNodeGone', 'ManagerPodMissing'].includes(ready.reason);
  const replicas = facts.replicas.length;
  const engines = facts.engines.length;
  if (isGone && !node.spec.allowScheduling && replicas === 0 && engines === 0) return [];
  return [
    invalid(
      '',
      `could not delete node ${node.metadata.name} with node ready condition is ${ready?.status ?? 'Unknown'}, reason is ${ready?.reason ?? ''}, node schedulable ${node.spec.allowScheduling}, and ${replicas} replica, ${engines} engine running on it`,
    ),
  ];
}

function validateCpuRequest(node: Node, facts: AdmissionFacts): Problem[] {
  const field = 'spec.instanceManagerCPURequest';
  const request = node.spec.instanceManagerCPURequest;
  if (request < 0) return [invalid(field, 'instanceManagerCPURequest should be greater than or equal to 0')];
  const allocatable = facts.kubeNode?.allocatableMilliCpu ?? 0;
  if (request === 0 || allocatable === 0) return [];
  const problem = validateSetting('guaranteed-instance-manager-cpu', ((request / allocatable) * 100).toFixed(2));
  return problem === null ? [] : [invalid(field, problem)];
}

function validateTags(node: Node): Problem[] {
  const tags = [
    ...node.spec.tags.map((tag) => ['spec.tags', tag] as const),
    ...Object.entries(node.spec.disks).flatMap(([name, disk]) =>
      disk.tags.map((tag) => [`spec.disks.${name}.tags`, tag] as const),
    ),
  ];
  return tags.flatMap(([field, tag]) => {
    const problem = tagProblem(tag);
    return problem === null ? [] : [invalid(field, `at least one error encountered while validating tags: ${problem}`)];
  });
}

function validateDisks(node: Node, old: Node | null, facts: AdmissionFacts): Problem[] {
  const { name: nodeName } = node.metadata;
  const problems: Problem[] = [];
  const pathOwner = new Map<string, string>();
  for (const [name, disk] of Object.entries(node.spec.disks)) {
    const field = `spec.disks.${name}`;
    const before = old?.spec.disks[name];
    const wrong = (at: string, message: string): void => void problems.push(invalid(`${field}${at}`, message));
    const refused = (message: string): void => wrong('', `update disk on node ${nodeName} error: ${message}`);
    if (disk.diskType === 'block' && settingOf(facts, 'v2-data-engine') === false) {
      if (old === null) wrong('.diskType', `disk ${name} type block is not supported since v2 data engine is disabled`);
      else refused(`The disk ${name}(${disk.path}) is a block device, but the SPDK feature is not enabled`);
    }
    if (disk.diskType === 'filesystem' && disk.diskDriver !== '') {
      wrong('.diskDriver', `disk ${name} type ${disk.diskType} is not supported to specify disk driver`);
    }
    if (disk.diskType === 'filesystem' && disk.path !== before?.path && !isAbsolute(disk.path)) {
      wrong('.path', `disk ${name}: path must be absolute, it is ${JSON.stringify(disk.path)}`);
    }
    const path = normalize(`${disk.path}/`);
    const owner = pathOwner.get(path);
    if (owner !== undefined && disk.path !== before?.path)
      wrong('.path', `disk ${name} has the same path ${disk.path} as disk ${owner}`);
    pathOwner.set(path, name);
    if (disk.evictionRequested && disk.allowScheduling) {
      wrong(
        '.evictionRequested',
        `need to disable scheduling on disk ${name} for disk eviction, or cancel eviction to enable scheduling on this disk`,
      );
    }
    if (disk.storageReserved < 0) {
      refused(
        `The storageReserved setting of disk ${name}(${disk.path}) is not valid, should be positive and no more than storageMaximum and storageAvailable`,
      );
    }
    if (before !== undefined && before.diskType !== disk.diskType) {
      refused(`The disk ${name}(${disk.path}) type is not allow to change`);
    }
    if (before !== undefined && before.path !== disk.path && holdsData(old, name)) {
      wrong(
        '.path',
        `path of disk ${name} cannot be changed while it holds replicas; add a disk with the new path and move them`,
      );
    }
  }
  return problems;
}

function holdsData(node: Node | null, disk: string): boolean {
  const status = node?.status.diskStatus[disk];
  return status !== undefined && (status.storageScheduled > 0 || Object.keys(status.scheduledReplica).length > 0);
}

function validateRemovedDisks(node: Node, old: Node): Problem[] {
  return Object.entries(old.spec.disks).flatMap(([name, disk]) => {
    if (node.spec.disks[name] !== undefined || (!disk.allowScheduling && !holdsData(old, name))) return [];
    return [
      invalid(
        `spec.disks.${name}`,
        `Delete Disk on node ${name} error: Please disable the disk ${disk.path} and remove all replicas and backing images first `,
      ),
    ];
  });
}
