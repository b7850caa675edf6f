/** Typed reading of settings: the Setting object if there is one, else the definition's default. */
import { parseSetting, SettingError, type SettingName, type SettingValue } from '@longhorn/shared-types';

/** Text of a Setting object by name, or null. */
export type SettingSource = (name: SettingName) => string | null;

export class SettingsView {
  readonly #source: SettingSource;

  constructor(source: SettingSource) {
    this.#source = source;
  }

  /** A stored value that cannot be read counts as not stored: the default is what people were promised. */
  get<N extends SettingName>(name: N): SettingValue<N> {
    try {
      return parseSetting(name, this.#source(name), 'v1');
    } catch (error) {
      if (error instanceof SettingError) return parseSetting(name, null, 'v1');
      throw error;
    }
  }
}
