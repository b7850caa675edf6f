/**
 * The first disks and tags of this node: one disk where the settings say, or what labels and annotations of the Kubernetes
 * node say. They are for a node that has none; whatever people set stays.
 */
import { ANNOTATION, LABEL, SETTINGS, type Node } from '@longhorn/shared-types';
import type { KubeNode } from '../../datastore/core-kinds.ts';
import { hostPath } from '../../io/disk-probe.ts';
import { settingsOf, type ControllerContext } from '../context.ts';
import { AnnotationError, parseDefaultDisks, parseDefaultTags, type AnnotatedDisk } from './default-annotations.ts';

const COMPONENT = 'longhorn-node-controller';

type Disks = Node['spec']['disks'];

/** The setting, unless it has its built-in value and this node's folder is another one. */
function defaultDataPath(context: ControllerContext): string {
  const set = settingsOf(context).get('default-data-path');
  return set === SETTINGS['default-data-path'].default ? context.environment.dataRoot : set;
}

function diskOf(context: ControllerContext, wanted: Omit<AnnotatedDisk, 'name'>, maximumBytes: number): Disks[string] {
  const percentage = settingsOf(context).get('storage-reserved-percentage-for-default-disk');
  return {
    allowScheduling: wanted.allowScheduling,
    diskDriver: '',
    diskType: 'filesystem',
    evictionRequested: false,
    path: wanted.path,
    storageReserved: wanted.reservedBytes ?? Math.trunc((maximumBytes * percentage) / 100),
    tags: wanted.tags,
  };
}

/** The disk where the settings say; none where that is a block device. Its folder is made. */
export async function defaultDisks(context: ControllerContext): Promise<Disks> {
  const { environment, log, io } = context;
  const path = defaultDataPath(context);
  const root = hostPath(environment.hostRoot, path);
  if (path.startsWith('/dev/')) return {};
  try {
    const { filesystemId, maximumBytes } = await io.prepareDisk(root);
    const wanted = { path, allowScheduling: true, reservedBytes: null, tags: [] };
    return { [`default-disk-${filesystemId}`]: diskOf(context, wanted, maximumBytes) };
  } catch (error) {
    log.error({ path: root, err: error }, 'default disk cannot be made; add a disk to the node by hand');
    return {};
  }
}

/** Throws AnnotationError. A folder that is missing is not made: its disk may not be mounted yet. */
async function annotatedDisks(context: ControllerContext, text: string): Promise<Disks> {
  const disks: Disks = {};
  const owners = new Map<string, string>();
  const refuse = (problem: string): never => {
    throw new AnnotationError(ANNOTATION.defaultDisksConfig, problem);
  };
  for (const wanted of parseDefaultDisks(text)) {
    const { path, reservedBytes } = wanted;
    const root = hostPath(context.environment.hostRoot, path);
    const { filesystemId, maximumBytes } = await context.io
      .measureDisk(root)
      .catch((error: unknown) => refuse(`the disk at ${path} cannot be looked at (${String(error)})`));
    const name = wanted.name || `default-disk-${filesystemId}`;
    const owner = owners.get(filesystemId);
    if (owner !== undefined) refuse(`${owner} and ${path} are on the same file system`);
    if (disks[name] !== undefined) refuse(`two disks have the name ${name}`);
    if (reservedBytes !== null && reservedBytes > maximumBytes)
      refuse(`storageReserved of ${path} is ${reservedBytes}, the disk has ${maximumBytes} bytes`);
    owners.set(filesystemId, path);
    disks[name] = diskOf(context, wanted, maximumBytes);
  }
  return disks;
}

export class NodeDefaults {
  readonly #context: ControllerContext;
  /** Problems that were told and are still there, by what they are about. */
  readonly #told = new Map<string, string>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** Gives this node what it does not have yet. `node` is as stored. */
  async apply(node: Node, kubeNode: KubeNode | null): Promise<void> {
    if (kubeNode === null) return;
    const { datastore, log } = this.#context;
    const disks = Object.keys(node.spec.disks).length > 0 ? {} : await this.#disks(node, kubeNode);
    const tags = node.spec.tags.length > 0 ? [] : await this.#tags(node, kubeNode);
    const names = Object.keys(disks);
    if (names.length === 0 && tags.length === 0) return;
    log.info({ disks: names, tags }, 'this node gets its first disks and tags');
    await datastore.update('Node', node.metadata.name, (present) => {
      const lacksDisks = names.length > 0 && Object.keys(present.spec.disks).length === 0;
      const lacksTags = tags.length > 0 && present.spec.tags.length === 0;
      if (lacksDisks) present.spec.disks = disks;
      if (lacksTags) present.spec.tags = tags;
      return lacksDisks || lacksTags ? present : null;
    });
  }

  async #disks(node: Node, { metadata }: KubeNode): Promise<Disks> {
    const wish = metadata.labels[LABEL.createDefaultDisk]?.toLowerCase() ?? '';
    if (wish === '' || !settingsOf(this.#context).get('create-default-disk-labeled-nodes')) return {};
    if (wish === 'true') return defaultDisks(this.#context);
    const annotation = ANNOTATION.defaultDisksConfig;
    return this.#orTell(node, 'DefaultDisks', {}, () => {
      if (wish === 'config') return annotatedDisks(this.#context, metadata.annotations[annotation] ?? '');
      const problem = `the label ${LABEL.createDefaultDisk} must be true or config, it is ${JSON.stringify(wish)}`;
      throw new AnnotationError(annotation, problem);
    });
  }

  #tags(node: Node, { metadata }: KubeNode): Promise<string[]> {
    const text = metadata.annotations[ANNOTATION.defaultNodeTags];
    return this.#orTell(node, 'DefaultTags', [], () => (text === undefined ? [] : parseDefaultTags(text)));
  }

  /** What is wanted; if it cannot be had, why not is told once, and `otherwise` is what there is. */
  async #orTell<T>(node: Node, reason: string, otherwise: T, wanted: () => T | Promise<T>): Promise<T> {
    try {
      const value = await wanted();
      this.#told.delete(reason);
      return value;
    } catch (error) {
      if (!(error instanceof AnnotationError)) throw error;
      if (this.#told.get(reason) === error.message) return otherwise;
      this.#told.set(reason, error.message);
      this.#context.log.warn({ problem: error.message }, 'defaults of this node are not applied');
      this.#context.events.record(COMPONENT, node, { type: 'Warning', reason, message: error.message });
      return otherwise;
    }
  }
}
