/** Settings from the ConfigMap `longhorn-default-setting`: which values are to be stored. Pure. */
import { loadYaml } from '@kubernetes/client-node';
import {
  isSettingName,
  normalizeSetting,
  settingDefinition,
  validateSetting,
  type SettingName,
} from '@longhorn/shared-types';

export interface DefaultSettings {
  values: Map<SettingName, string>;
  /** Why others are left out, for the log. */
  problems: string[];
}

const TRUE = /^(1|t|true)$/i;
const FALSE = /^(0|f|false)$/i;

function record(text: string): Record<string, unknown> | null {
  if (!text.trim().startsWith('{')) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    // No JSON: a plain value that starts with a brace, which the check of the setting refuses.
    return null;
  }
}

/** Text of a value as the setting stores it: engines that are left out keep their default. */
function stored(name: SettingName, text: string): string {
  const definition = settingDefinition(name);
  if (definition.type === 'bool' && TRUE.test(text)) return normalizeSetting(name, 'true');
  if (definition.type === 'bool' && FALSE.test(text)) return normalizeSetting(name, 'false');
  const byEngine = definition.dataEngineSpecific ? record(text) : null;
  return normalizeSetting(
    name,
    byEngine === null ? text : JSON.stringify({ ...record(definition.default), ...byEngine }),
  );
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value.trim();
  return typeof value === 'boolean' || typeof value === 'number' ? String(value) : null;
}

/** Throws when the text is no YAML mapping; a single wrong entry is left out and told. */
export function readDefaultSettings(yaml: string): DefaultSettings {
  const parsed: unknown = yaml.trim() === '' ? {} : (loadYaml(yaml) ?? {});
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Error('default-setting.yaml must be a mapping of setting names to values');
  }
  const result: DefaultSettings = { values: new Map(), problems: [] };
  for (const [name, raw] of Object.entries(parsed)) {
    const text = textOf(raw);
    if (!isSettingName(name)) result.problems.push(`setting ${name} is not supported`);
    else if (settingDefinition(name).readOnly) result.problems.push(`setting ${name} is read-only`);
    else if (text === null) result.problems.push(`setting ${name}: write the value as a text`);
    else {
      const value = stored(name, text);
      const problem = validateSetting(name, value);
      if (problem === null) result.values.set(name, value);
      else result.problems.push(problem);
    }
  }
  return result;
}
