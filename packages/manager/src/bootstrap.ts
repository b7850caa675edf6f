/** The objects that exist before anything else: settings, the node with its first disk, the default engine image. */
import {
  ANNOTATION,
  FINALIZER,
  LABEL,
  OBJECT_NAME,
  SETTINGS,
  engineImageName,
  isSettingName,
  newObject,
  normalizeSetting,
  settingDefinition,
} from '@longhorn/shared-types';
import { settingsOf, type ControllerContext } from './controllers/context.ts';
import { defaultDisks } from './controllers/node/default-disks.ts';
import { CORE_RESOURCES, list, record, text } from './datastore/core-kinds.ts';
import { isNotFound, type RawObject } from './datastore/kube-transport.ts';
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
  if (value !== '') await storeSetting(context, name, value);
}

async function storeSetting(context: ControllerContext, name: string, value: string): Promise<void> {
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

/** The pods that this system makes pull their images as the managers do: with the first secret of their DaemonSet. */
export async function bootstrapRegistrySecret(context: ControllerContext): Promise<void> {
  const { datastore, namespace } = context;
  let managers: RawObject;
  try {
    managers = await datastore.transport.get(CORE_RESOURCES.daemonSets, namespace, OBJECT_NAME.managerApp);
  } catch (error) {
    // Managers that run as processes pull nothing.
    if (isNotFound(error)) return;
    throw error;
  }
  const podSpec = record(record(record(managers['spec'])['template'])['spec']);
  const [first] = list(podSpec['imagePullSecrets']);
  await storeSetting(context, 'registry-secret', text(first?.['name']));
}

/** This node, unless it is there; with a default disk unless disks are made by label, which the node's controller does. */
export async function bootstrapNode(context: ControllerContext): Promise<void> {
  const { datastore, namespace, me, log } = context;
  if (datastore.stores.Node.get(me) !== null) return;
  const node = newObject('Node', namespace, me);
  node.metadata.finalizers = [FINALIZER];
  node.spec.name = me;
  node.spec.allowScheduling = true;
  if (!settingsOf(context).get('create-default-disk-labeled-nodes')) node.spec.disks = await defaultDisks(context);
  await retryWhileWebhooksStart(context, () => datastore.create('Node', node));
  log.info({ disks: Object.keys(node.spec.disks) }, 'registered this node');
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
