/**
 * All settings by name, and how their values are checked, normalised and read. A value is text; where it differs by
 * data engine it is stored as a JSON object of texts such as `{"v1":"3","v2":"3"}`, and a plain text stands for all engines.
 */
import { backupSettings } from './backup.ts';
import { addedSettings } from './beyond-longhorn.ts';
import { dangerZoneSettings } from './danger-zone.ts';
import type { SettingDefinition, SettingRange, SettingType } from './define-setting.ts';
import { generalSettings } from './general.ts';
import { orphanSettings } from './orphan.ts';
import { schedulingSettings } from './scheduling.ts';
import { formatProblem } from './setting-formats.ts';
import { snapshotSettings } from './snapshot.ts';
import { systemInfoSettings } from './system-info.ts';

/** Setting name to definition. */
export const SETTINGS = {
  ...generalSettings,
  ...schedulingSettings,
  ...dangerZoneSettings,
  ...snapshotSettings,
  ...backupSettings,
  ...orphanSettings,
  ...systemInfoSettings,
  ...addedSettings,
};

/** Name of a setting. */
export type SettingName = keyof typeof SETTINGS;

/** Data engine that a value is asked for. */
export type DataEngine = 'v1' | 'v2';

/** What a value of a setting type reads as. */
type ValueOf<T extends SettingType> = T extends 'int' | 'float' ? number : T extends 'bool' ? boolean : string;

/** What `parseSetting` returns for a name. */
export type SettingValue<N extends SettingName> = ValueOf<(typeof SETTINGS)[N]['type']>;

/** A stored value cannot be read. */
export class SettingError extends Error {
  override readonly name = 'SettingError';
}

const TRUE_TEXTS = ['1', 't', 'T', 'TRUE', 'true', 'True'];
const FALSE_TEXTS = ['0', 'f', 'F', 'FALSE', 'false', 'False'];

/** Whether there is a setting of this name. */
export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(SETTINGS, name);
}

/** The definition of a setting, in the general type. */
export function settingDefinition(name: SettingName): SettingDefinition {
  return SETTINGS[name];
}

/** The JSON object that a text is, or null. */
function jsonObject(value: string): Record<string, unknown> | null {
  if (!value.trim().startsWith('{')) return null;
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : null;
  } catch {
    // Not JSON: the text is a plain value, as upstream reads it.
    return null;
  }
}

function parseScalar(type: SettingType, value: string): string | number | boolean | null {
  switch (type) {
    case 'bool':
      if (TRUE_TEXTS.includes(value)) return true;
      return FALSE_TEXTS.includes(value) ? false : null;
    case 'int': {
      const parsed = /^[+-]?[0-9]+$/.test(value) ? Number(value) : Number.NaN;
      return Number.isSafeInteger(parsed) ? parsed : null;
    }
    case 'float': {
      const parsed = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i.test(value) ? Number(value) : Number.NaN;
      return Number.isFinite(parsed) ? parsed : null;
    }
    case 'string':
    case 'deprecated':
    case '':
      return value;
    default:
      return null;
  }
}

function typeWord(type: SettingType): string {
  if (type === 'bool') return 'true or false';
  return type === 'int' ? 'an integer' : 'a number';
}

function rangeProblems(range: SettingRange | null, value: number, text: string, engine: string): string[] {
  const problems: string[] = [];
  if (range?.minimum !== undefined && value < range.minimum) {
    problems.push(`value ${text} for data engine ${engine} should be larger than or equal to ${range.minimum}`);
  }
  if (range?.maximum !== undefined && value > range.maximum) {
    problems.push(`value ${text} for data engine ${engine} should be less than or equal to ${range.maximum}`);
  }
  return problems;
}

/** Problems of one plain value, for one engine or `all`. */
function scalarProblems(name: string, definition: SettingDefinition, text: string, engine: string): string[] {
  if (definition.required && text === '') return [`required setting ${name} shouldn't be empty`];
  const trimmed = definition.dataEngineSpecific ? text.trim() : text;
  const parsed = parseScalar(definition.type, trimmed);
  if (parsed === null) {
    return [
      `failed to parse value ${text} for setting ${definition.displayName}: must be ${typeWord(definition.type)}`,
    ];
  }
  if (definition.options.length > 0 && !definition.options.some((option) => option === parsed)) {
    return [`value ${text} is not a valid choice, available choices [${definition.options.join(' ')}]`];
  }
  if (typeof parsed === 'number') {
    const problems = rangeProblems(definition.range ?? definition.floatRange, parsed, text, engine);
    if (problems.length > 0) return problems;
  }
  const problem = formatProblem(name, trimmed);
  return problem === null ? [] : [problem];
}

function engineProblems(name: string, definition: SettingDefinition, values: Record<string, unknown>): string[] {
  if (!definition.dataEngineSpecific) {
    return ['JSON-formatted value is not supported for non-data-engine-specific setting'];
  }
  const engines = settingEngines(definition);
  if (Object.keys(values).length !== engines.length) {
    return [`mismatched data engines for setting ${definition.displayName}: must be ${engines.join(' and ')}`];
  }
  return Object.entries(values).flatMap(([engine, value]) => {
    if (!engines.includes(engine))
      return [`data engine ${engine} is not supported for setting ${definition.displayName}`];
    if (typeof value !== 'string') {
      return [
        `failed to parse value ${JSON.stringify(values)} for setting ${definition.displayName}: values must be strings`,
      ];
    }
    return scalarProblems(name, definition, value, engine);
  });
}

/** The data engines that a setting has values for; empty when the value is one for all. */
export function settingEngines(definition: SettingDefinition): string[] {
  return definition.dataEngineSpecific ? Object.keys(jsonObject(definition.default) ?? {}) : [];
}

/**
 * Why a value may not be stored, as one text that names the setting, the value and what is allowed; null when it may.
 * It checks the value alone; what depends on the state of the cluster is checked by the manager.
 */
export function validateSetting(name: string, value: string): string | null {
  const prefix = `failed to validate setting ${name} with invalid value ${value}: `;
  if (!isSettingName(name)) return `${prefix}setting ${name} is not supported`;
  const definition = settingDefinition(name);
  const values = jsonObject(value);
  const problems =
    values === null ? scalarProblems(name, definition, value, 'all') : engineProblems(name, definition, values);
  if (problems.length === 0) return null;
  return `${prefix}value ${value} of settings ${name} is invalid: ${problems.join('\n')}`;
}

function normalScalar(type: SettingType, value: string): string {
  const parsed = parseScalar(type, value.trim());
  return parsed === null || typeof parsed === 'string' ? value : String(parsed);
}

/**
 * The form in which a value is stored. Values that differ by engine become JSON with the engines of the default, in
 * order; a plain value is taken for each. Other values stay as they are. A value that is not valid stays too.
 */
export function normalizeSetting(name: SettingName, value: string): string {
  const definition = settingDefinition(name);
  if (!definition.dataEngineSpecific) return value;
  const values = jsonObject(value);
  const engines = settingEngines(definition).toSorted();
  const entries = engines.flatMap((engine): [string, string][] => {
    const raw = values === null ? value : values[engine];
    return typeof raw === 'string' ? [[engine, normalScalar(definition.type, raw)]] : [];
  });
  const unreadable = values !== null && Object.values(values).some((entry) => typeof entry !== 'string');
  return unreadable ? value : JSON.stringify(Object.fromEntries(entries));
}

/**
 * The value of a setting, read as its type. `stored` is null when there is no Setting object: the default counts. The
 * engine is needed by settings that differ by it and ignored by the others. Throws SettingError.
 */
export function parseSetting<N extends SettingName>(
  name: N,
  stored: string | null,
  engine: DataEngine = 'v1',
): SettingValue<N> {
  const definition = settingDefinition(name);
  const whole = stored ?? definition.default;
  const values = jsonObject(whole);
  const text = definition.dataEngineSpecific && values !== null ? values[engine] : whole;
  if (typeof text !== 'string') {
    throw new SettingError(`setting ${name} does not have a value for data engine ${engine}: ${whole}`);
  }
  const parsed = parseScalar(definition.type, definition.type === 'string' ? text : text.trim());
  if (parsed === null) {
    throw new SettingError(`setting ${name} has value ${text}, which must be ${typeWord(definition.type)}`);
  }
  // parseScalar answers by the type of this definition, which is what SettingValue<N> is made of.
  return parsed as SettingValue<N>;
}
