/** Mutations that several kinds share: finalizer, labels, owner reference. */
import { API_VERSION, autoCorrectName, FINALIZER, LABEL, type ObjectMeta } from '@longhorn/shared-types';
import { isUnset, objectAt, peekObject, stringsAt, textAt, type JsonObject } from './json-object.ts';

/** Adds the finalizer to an object that is not being deleted. */
export function addFinalizer(object: JsonObject): void {
  const metadata = objectAt(object, 'metadata');
  if (!isUnset(metadata['deletionTimestamp'])) return;
  const present = stringsAt(metadata, 'finalizers');
  if (!present.includes(FINALIZER)) metadata['finalizers'] = [...present, FINALIZER];
}

/** Sets labels, and removes those that are null. */
export function setLabels(object: JsonObject, labels: Record<string, string | null>): void {
  const present = objectAt(objectAt(object, 'metadata'), 'labels');
  for (const [key, value] of Object.entries(labels)) {
    if (value === null) delete present[key];
    else present[key] = value;
  }
}

/** The label that ties an object to its volume. */
export function setVolumeLabel(object: JsonObject, volume: string): void {
  setLabels(object, { [LABEL.volume]: autoCorrectName(volume) });
}

/** Makes the object belong to another, unless it belongs to one already. */
export function setOwner(object: JsonObject, kind: string, owner: ObjectMeta, extra: JsonObject = {}): void {
  const metadata = objectAt(object, 'metadata');
  const present = metadata['ownerReferences'];
  if (Array.isArray(present) && present.length > 0) return;
  metadata['ownerReferences'] = [{ apiVersion: API_VERSION, kind, name: owner.name, uid: owner.uid, ...extra }];
}

/** Lower-cases and shortens the name of a new object. */
export function correctName(object: JsonObject): void {
  const metadata = objectAt(object, 'metadata');
  const name = textAt(metadata, 'name');
  if (name !== '') metadata['name'] = autoCorrectName(name);
}

/** Tags without doubles, sorted. */
export function normalTags(parent: JsonObject): void {
  parent['tags'] = [...new Set(stringsAt(parent, 'tags'))].toSorted();
}

/** Whether an update of an object under deletion does nothing but take its finalizer away. */
export function onlyRemovesFinalizer(object: JsonObject, old: JsonObject): boolean {
  const metadata = peekObject(object, 'metadata');
  if (isUnset(metadata['deletionTimestamp'])) return false;
  const before = stringsAt(peekObject(old, 'metadata'), 'finalizers');
  const after = stringsAt(metadata, 'finalizers');
  const expected = before.filter((finalizer) => finalizer !== FINALIZER);
  return (
    before.length === after.length + 1 && expected.length === after.length && expected.every((f) => after.includes(f))
  );
}
