/**
 * The ConfigMaps that the chart hands over: default settings and the default StorageClass. Every manager acts on them;
 * their writes are equal, and a class is deleted only in the version that was looked at.
 */
import type { SettingName } from '@longhorn/shared-types';
import {
  isAlreadyExists,
  isConflict,
  isNotFound,
  type RawObject,
  type Resource,
} from '../../datastore/kube-transport.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { retryWhileWebhooksStart } from '../../webhook-patience.ts';
import type { ControllerContext } from '../context.ts';
import { CLASS_NAME, decideClass } from './default-class.ts';
import { readDefaultSettings } from './default-settings.ts';

export const CHART_CONFIG = { settings: 'longhorn-default-setting', storageClass: 'longhorn-storageclass' } as const;

/** Annotation of a Setting: version of the ConfigMap that its value was last taken from. */
const CONFIG_VERSION = 'longhorn.io/configmap-resource-version';
const STORAGE_CLASS: Resource = {
  group: 'storage.k8s.io',
  version: 'v1',
  plural: 'storageclasses',
  kind: 'StorageClass',
  namespaced: false,
};

export class ChartConfigController {
  readonly #context: ControllerContext;
  /** What the people change afterwards stays, until the ConfigMap changes or a manager starts. */
  #settingsVersion = '';

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async reconcile(name: string): Promise<Outcome> {
    try {
      if (name === CHART_CONFIG.settings) await this.applySettings();
      if (name === CHART_CONFIG.storageClass) await this.#applyClass();
      return done;
    } catch (error) {
      if (isConflict(error) || isAlreadyExists(error) || isNotFound(error))
        return { kind: 'retry', reason: String(error) };
      throw error;
    }
  }

  /** Stores the values of the ConfigMap in this version of it; a setting that is refused is left out and told. */
  async applySettings(): Promise<void> {
    const { datastore, log } = this.#context;
    const config = datastore.configMaps.get(CHART_CONFIG.settings);
    if (config === null || config.metadata.resourceVersion === this.#settingsVersion) return;
    const { values, problems } = readDefaultSettings(config.data['default-setting.yaml'] ?? '');
    for (const problem of problems) log.warn({ problem }, 'a default setting of the chart is left out');
    for (const [name, value] of values) await this.#storeSetting(name, value, config.metadata.resourceVersion);
    this.#settingsVersion = config.metadata.resourceVersion;
  }

  async #storeSetting(name: SettingName, value: string, version: string): Promise<void> {
    const { datastore, log } = this.#context;
    const store = (): Promise<unknown> =>
      datastore.update('Setting', name, (present) => {
        const { annotations } = present.metadata;
        if (present.value === value && annotations[CONFIG_VERSION] === version) return null;
        present.value = value;
        annotations[CONFIG_VERSION] = version;
        return present;
      });
    try {
      await retryWhileWebhooksStart(this.#context, store);
    } catch (error) {
      log.warn({ setting: name, value, err: error }, 'a default setting of the chart is refused');
    }
  }

  async #applyClass(): Promise<void> {
    const { datastore, log } = this.#context;
    const { transport } = datastore;
    const yaml = datastore.configMaps.get(CHART_CONFIG.storageClass)?.data['storageclass.yaml'] ?? '';
    if (yaml.trim() === '') return;
    let present: RawObject | null = null;
    try {
      present = await transport.get(STORAGE_CLASS, '', CLASS_NAME);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    const step = decideClass(present, yaml);
    if (step.kind === 'nothing') return;
    log.info({ step: step.kind }, 'the default StorageClass follows its ConfigMap');
    if (step.kind === 'recreate' && present?.metadata.uid !== undefined) {
      await transport.delete(STORAGE_CLASS, '', CLASS_NAME, { uid: present.metadata.uid });
    }
    await transport.create(STORAGE_CLASS, '', step.object);
  }
}
