/** What the handlers of the API work with. */
import type { Logger } from 'pino';
import type { Clock } from '../clock.ts';
import { SettingsView } from '../controllers/settings-view.ts';
import type { Datastore } from '../datastore/datastore.ts';
import type { EventRecorder } from '../datastore/event-recorder.ts';
import type { InstanceManagers } from '../instance-client/instance-managers.ts';

export interface ApiContext {
  datastore: Datastore;
  managers: InstanceManagers;
  clock: Clock;
  log: Logger;
  events: Pick<EventRecorder, 'record'>;
  /** So many random hex digits. */
  randomHex: (digits: number) => string;
}

/** Typed reading of settings. */
export function settingsOf({ datastore }: ApiContext): SettingsView {
  return new SettingsView((name) => datastore.store('Setting').get(name)?.value ?? null);
}

/** Sorted by name. */
export function byName<T extends { metadata: { name: string } }>(objects: readonly T[]): T[] {
  return objects.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}
