/** The objects that exist before anything else: settings, the node with its first disk, the default engine image. */
import {
  ANNOTATION,
  FINALIZER,
  LABEL,
  SETTINGS,
  engineImageName,
  isSettingName,
  newObject,
  normalizeSetting,
  settingDefinition,
  type Node,
} from '@longhorn/shared-types';
import { settingsOf, type ControllerContext } from './controllers/context.ts';
import { isNotFound } from './datastore/kube-transport.ts';
import { hostPath } from './io/disk-probe.ts';
import { upgradeRefusal } from './upgrade/version-path.ts';
import { LONGHORN_VERSION } from './version.ts';
import { retryWhileWebhooksStart } from './webhook-patience.ts';

/** Throws when this version may not take over what the version before it left. */
export function refuseForeignData({ datastore }: ControllerContext, isChecked: boolean): void {
  const current = datastore.stores.Setting.get('current-longhorn-version')?.value ?? '';
  const refusal = upgradeRefusal(current, LONGHORN_VERSION, isChecked);
  if (refusal !== null) throw new Error(refusal);
}

/** Missing settings get their default; those that name images follow the flags of this daemon. */
export async function bootstrapSettings(context: ControllerContext): Promise<void> {
  const { datastore, namespace, images } = context;
  for (const name of Object.keys(SETTINGS)) {
    if (!isSettingName(name) || datastore.stores.Setting.get(name) !== null) continue;
    const setting = newObject('Setting', namespace, name);
    setting.value = normalizeSetting(name, settingDefinition(name).default);
    setting.metadata.annotations = { [ANNOTATION.updateSettingFromLonghorn]: '' };
    await retryWhileWebhooksStart(context, () => datastore.create('Setting', setting));
  }
  await writeSetting(context, 'default-engine-image', images.engine);
  await writeSetting(context, 'default-instance-manager-image', images.instanceManager);
  await writeSetting(context, 'default-backing-image-manager-image', images.backingImageManager);
  await writeSetting(context, 'support-bundle-manager-image', images.supportBundleManager);
  await writeSetting(context, 'current-longhorn-version', LONGHORN_VERSION);
}

async function writeSetting(context: ControllerContext, name: string, value: string): Promise<void> {
  if (value === '') return;
  await retryWhileWebhooksStart(context, () =>
    context.datastore.update('Setting', name, (present) => {
      if (present.value === value) return null;
      present.value = value;
      // Lets the webhook accept a read-only setting.
      present.metadata.annotations[ANNOTATION.updateSettingFromLonghorn] = '';
      return present;
    }),
  );
}

/** This node, once; with a default disk unless disks are made by label. */
export async function bootstrapNode(context: ControllerContext): Promise<void> {
  const { datastore, namespace, me, log } = context;
  if (datastore.stores.Node.get(me) !== null) return;
  const node = newObject('Node', namespace, me);
  node.metadata.finalizers = [FINALIZER];
  node.spec.name = me;
  node.spec.allowScheduling = true;
  const settings = settingsOf(context);
  const labelled = datastore.kubeNodes.get(me)?.metadata.labels[LABEL.createDefaultDisk]?.toLowerCase() ?? '';
  if (!settings.get('create-default-disk-labeled-nodes') || labelled === 'true') await addDefaultDisk(context, node);
  await retryWhileWebhooksStart(context, () => datastore.create('Node', node));
  log.info({ disks: Object.keys(node.spec.disks) }, 'registered this node');
}

async function addDefaultDisk(context: ControllerContext, node: Node): Promise<void> {
  const { environment, log } = context;
  const settings = settingsOf(context);
  const path = defaultDataPath(context);
  const root = hostPath(environment.hostRoot, path);
  if (path.startsWith('/dev/')) return;
  try {
    const { filesystemId, maximumBytes } = await context.io.prepareDisk(root);
    node.spec.disks[`default-disk-${filesystemId}`] = {
      allowScheduling: true,
      diskDriver: '',
      diskType: 'filesystem',
      evictionRequested: false,
      path,
      storageReserved: Math.trunc((maximumBytes * settings.get('storage-reserved-percentage-for-default-disk')) / 100),
      tags: [],
    };
  } catch (error) {
    if (isNotFound(error)) throw error;
    log.error({ path: root, err: error }, 'default disk cannot be made; add a disk to the node by hand');
  }
}

/** The setting, unless it has its built-in value and this node's folder is another one. */
export function defaultDataPath(context: ControllerContext): string {
  const set = settingsOf(context).get('default-data-path');
  return set === SETTINGS['default-data-path'].default ? context.environment.dataRoot : set;
}

export async function bootstrapImages(context: ControllerContext): Promise<void> {
  const { datastore, namespace, images } = context;
  const name = engineImageName(images.engine);
  if (datastore.stores.EngineImage.get(name) !== null) return;
  const image = newObject('EngineImage', namespace, name);
  image.metadata.finalizers = [FINALIZER];
  image.metadata.labels = {
    [LABEL.managedBy]: 'longhorn-manager',
    [LABEL.component]: 'engine-image',
    [LABEL.engineImage]: name,
  };
  image.spec.image = images.engine;
  await retryWhileWebhooksStart(context, () => datastore.create('EngineImage', image));
}
