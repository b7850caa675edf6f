/**
 * Settings: `status.applied` says that the stored value is valid and in force. Most settings are read when they are
 * needed, so being valid is being in force.
 */
import { isSettingName, settingDefinition, validateSetting, type Setting } from '@longhorn/shared-types';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { settingsOf, type ControllerContext } from '../context.ts';

/** Value of `status.applied`, and why not. Pure. */
export function planSetting(setting: Setting): { applied: boolean; problem: string | null } {
  const { name } = setting.metadata;
  if (!isSettingName(name)) return { applied: false, problem: `setting ${name} is not supported` };
  // The manager writes these itself, when it knows them.
  if (settingDefinition(name).readOnly) return { applied: true, problem: null };
  const problem = validateSetting(name, setting.value);
  return { applied: problem === null, problem };
}

export async function reconcileSetting(context: ControllerContext, name: string): Promise<Outcome> {
  const { datastore, log } = context;
  const setting = datastore.stores.Setting.get(name);
  if (setting === null) return done;
  const { applied, problem } = planSetting(setting);
  if (name === 'log-level' && applied) setLogLevel(context);
  await datastore.saveStatus('Setting', setting, { ...setting, status: { ...setting.status, applied } });
  if (problem === null) return done;
  log.warn({ setting: name, problem }, 'setting is not in force');
  return { kind: 'stalled', reason: problem };
}

function setLogLevel(context: ControllerContext): void {
  const level = settingsOf(context).get('log-level').toLowerCase();
  if (['trace', 'debug', 'info', 'warn', 'error', 'fatal'].includes(level)) context.log.level = level;
}
