/** The values below `defaultSettings`, from the definitions of the settings. */
import { SETTINGS, type SettingDefinition } from '../../packages/shared-types/src/index.ts';
import type { Schema, Value } from './value.ts';

/** Spelled otherwise than the setting's name in camel case. */
const SPELLED: Record<string, string> = {
  'upgrade-responder-url': 'upgradeResponderURL',
  'failed-backup-ttl': 'failedBackupTTL',
  'guaranteed-instance-manager-cpu': 'guaranteedInstanceManagerCPU',
  'data-engine-cpu-mask': 'dataEngineCPUMask',
  'long-grpc-timeout': 'longGRPCTimeOut',
  'auto-cleanup-when-delete-backup': 'autoCleanupSnapshotWhenDeleteBackup',
};

/** Written by the manager, from its flags or its pod. */
const OWN = new Set([
  'registry-secret',
  'default-engine-image',
  'default-instance-manager-image',
  'default-backing-image-manager-image',
  'support-bundle-manager-image',
]);

/** Not a plain value: an object of its own sets it. */
const ELSEWHERE = new Set(['volume-qos']);

const INITIAL: Record<string, unknown> = {
  'priority-class': 'longhorn-critical',
  'disable-revision-counter': '{"v1":"true"}',
};

export function valueName(setting: string): string {
  return SPELLED[setting] ?? setting.replaceAll(/-([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
}

/** Settings that have a chart value, in their order. */
export function settingsWithValue(): [name: string, definition: SettingDefinition][] {
  return Object.entries<SettingDefinition>(SETTINGS).filter(
    ([name, { readOnly }]) => !readOnly && !OWN.has(name) && !ELSEWHERE.has(name),
  );
}

/** What one value may be: as its type, or as the text of it, which is how the setting is stored. */
function plain({ type, options, range, floatRange }: SettingDefinition): Schema[] {
  const texts = options.map(String);
  if (type === 'bool') return [{ type: 'boolean' }, { type: 'string', enum: ['true', 'false'] }];
  if (type === 'int' || type === 'float') {
    const bounds = range ?? floatRange ?? {};
    const number = { type: type === 'int' ? 'integer' : 'number', ...bounds };
    const pattern = type === 'int' ? '^-?[0-9]+$' : '^-?[0-9]+(\\.[0-9]+)?$';
    return options.length > 0
      ? [{ enum: [...options, ...texts] }]
      : [number, { type: 'string', pattern, maxLength: 20 }];
  }
  return options.length > 0 ? [{ type: 'string', enum: texts }] : [{ type: 'string' }];
}

function schemaOf(definition: SettingDefinition): Schema {
  const scalar = plain(definition);
  const byEngine: Schema[] = definition.dataEngineSpecific
    ? [
        {
          type: 'object',
          properties: { v1: { anyOf: scalar }, v2: { anyOf: scalar } },
          additionalProperties: false,
          minProperties: 1,
        },
        { type: 'string', pattern: '^\\s*\\{.*\\}\\s*$' },
      ]
    : [];
  return { anyOf: [...scalar, ...byEngine, { type: 'null' }] };
}

function docOf(definition: SettingDefinition): string {
  const initial = definition.default === '' ? 'empty' : definition.default;
  const options = definition.options.length > 0 ? ` One of: ${definition.options.join(', ')}.` : '';
  const byEngine = definition.dataEngineSpecific ? ' One value for all data engines, or a map of v1 and v2.' : '';
  const description = definition.description.trim().replaceAll(/\s+/g, ' ');
  const sentence = /[.!?]$/.test(description) ? description : `${description}.`;
  return `${sentence}${options}${byEngine} Left out: ${initial}.`;
}

export function settingValues(): Record<string, Value> {
  return Object.fromEntries(
    settingsWithValue().map(([name, definition]) => [
      valueName(name),
      {
        doc: docOf(definition),
        default: INITIAL[name] ?? null,
        schema: schemaOf(definition),
        question: 'Longhorn Default Settings',
      },
    ]),
  );
}
