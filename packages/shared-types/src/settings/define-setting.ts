/** What is said about a setting: what the REST API shows as its definition. */

/** Category strings, spelled as upstream's clients group by them. */
export type SettingCategory =
  'general' | 'scheduling' | 'danger Zone' | 'snapshot' | 'backup' | 'orphan' | 'system info';

/** Value types. `deprecated` and the empty type are strings that nothing checks. */
export type SettingType = 'string' | 'int' | 'float' | 'bool' | 'deprecated' | '';

/** Bounds, both inclusive; a missing one does not bound. */
export interface SettingRange {
  minimum?: number;
  maximum?: number;
}

/** Definition of one setting. */
export interface SettingDefinition<T extends SettingType = SettingType> {
  displayName: string;
  description: string;
  category: SettingCategory;
  type: T;
  /** An empty value is refused. */
  required: boolean;
  /** Only the manager writes it. */
  readOnly: boolean;
  /** JSON text for settings whose value differs by data engine. */
  default: string;
  options: readonly (string | number)[];
  range: SettingRange | null;
  floatRange: SettingRange | null;
  /** The stored value is a JSON object of strings by data engine. */
  dataEngineSpecific: boolean;
}

type SettingInput<T extends SettingType> = Pick<
  SettingDefinition<T>,
  'displayName' | 'description' | 'category' | 'type' | 'default'
> &
  Partial<SettingDefinition<T>>;

/** A definition with everything that was not said at its usual value. */
export function defineSetting<const T extends SettingType>(input: SettingInput<T>): SettingDefinition<T> {
  return {
    required: false,
    readOnly: false,
    options: [],
    range: null,
    floatRange: null,
    dataEngineSpecific: false,
    ...input,
  };
}
