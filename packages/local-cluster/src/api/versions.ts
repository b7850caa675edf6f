/**
 * Between the version that a client speaks and the one that is stored. Custom resources differ in apiVersion only
 * (conversion strategy None); events have two faces, v1 and events.k8s.io/v1, over one stored form.
 */
import { objectAt, type JsonObject } from './json.ts';
import { objectFrom, type KubeObject } from './object.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';

/** [name in events.k8s.io/v1, name in v1] */
const EVENT_FIELDS: readonly (readonly [string, string])[] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
  ['reportingController', 'reportingComponent'],
];

function renamed(object: KubeObject, from: 0 | 1): KubeObject {
  const names = new Map(EVENT_FIELDS.map((pair) => [pair[from], pair[from === 0 ? 1 : 0]]));
  const result: JsonObject = {};
  // Of the fields that v1 always has, events.k8s.io shows only those with a value.
  for (const [key, value] of Object.entries(object))
    if (from === 0 || value !== '') result[names.get(key) ?? key] = value;
  return objectFrom(result);
}

const isNewEvent = (type: ResourceType): boolean => type.group === 'events.k8s.io' && type.plural === 'events';

/** As the client of this type sees a stored object. */
export function toServed(type: ResourceType, object: KubeObject): KubeObject {
  if (isNewEvent(type)) return { ...renamed(object, 1), apiVersion: 'events.k8s.io/v1' };
  const apiVersion = apiVersionOf(type);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** As an object that a client of this type sent is stored. */
export function toStored(type: ResourceType, object: KubeObject): KubeObject {
  if (isNewEvent(type)) {
    const event = renamed(object, 0);
    return { ...event, apiVersion: 'v1', involvedObject: objectAt(event['involvedObject']) };
  }
  return object.apiVersion === type.storedApiVersion ? object : { ...object, apiVersion: type.storedApiVersion };
}
