/**
 * Sets of fields, in the form in which objects record who manages them (`fieldsV1`).
 *
 * A field is a path of steps: `f:name` a key of an object, `k:{"name":"a"}` an element of a list by its keys, `v:"a"` an
 * element of a set, `.` the element or object itself. A list without keys is one field, as is an empty object.
 */
import { copyOf, equal, isObject, listAt, objectAt, stringAt, type Json, type JsonObject } from './json.ts';
import { MERGE_KEYS, MERGE_SETS } from './patch-strategic.ts';
import { propertySchema, type Schema } from './schema.ts';

/** Paths, their steps joined by a character that no step contains. */
export type FieldSet = Set<string>;

const JOINT = '\u0000';
const stepsOf = (path: string): string[] => path.split(JOINT);

/** How the elements of a list are told apart; `null`: the list is one field. */
type ListRule = { rule: 'keys'; keys: string[] } | { rule: 'values' } | null;

/** `schema`: of the list; `null` for built-in kinds, which are known by the field's name. */
function listRule(schema: Schema | null, field: string, list: readonly Json[]): ListRule {
  if (schema === null) {
    if (MERGE_SETS.has(field)) return { rule: 'values' };
    const key = (MERGE_KEYS[field] ?? []).find((name) => list.every((entry) => objectAt(entry)[name] !== undefined));
    return key === undefined ? null : { rule: 'keys', keys: [key] };
  }
  if (schema['x-kubernetes-list-type'] === 'set') return { rule: 'values' };
  if (schema['x-kubernetes-list-type'] !== 'map') return null;
  return { rule: 'keys', keys: listAt(schema['x-kubernetes-list-map-keys']).map(stringAt) };
}

const elementStep = (rule: Exclude<ListRule, null>, element: Json): string =>
  rule.rule === 'values'
    ? `v:${JSON.stringify(element)}`
    : `k:${JSON.stringify(Object.fromEntries(rule.keys.map((key) => [key, objectAt(element)[key] ?? null])))}`;

/** Metadata is the same for custom and built-in kinds, and its lists are known by name. */
const METADATA: Schema | null = null;
const SERVER_METADATA = new Set([
  'creationTimestamp',
  'deletionGracePeriodSeconds',
  'deletionTimestamp',
  'generateName',
  'generation',
  'managedFields',
  'name',
  'namespace',
  'resourceVersion',
  'selfLink',
  'uid',
]);

function collect(value: Json, schema: Schema | null, field: string, path: string[], found: FieldSet): void {
  const atomic = schema?.['x-kubernetes-map-type'] === 'atomic';
  if (isObject(value) && Object.keys(value).length > 0 && !atomic) {
    for (const [key, entry] of Object.entries(value))
      if (entry !== undefined)
        collect(entry, schema === null ? null : (propertySchema(schema, key) ?? {}), key, [...path, `f:${key}`], found);
    return;
  }
  const rule = Array.isArray(value) && value.length > 0 ? listRule(schema, field, value) : null;
  if (!Array.isArray(value) || rule === null) {
    found.add(path.join(JOINT));
    return;
  }
  const items = schema === null ? null : objectAt(schema['items']);
  for (const element of value) {
    const step = [...path, elementStep(rule, element)];
    found.add((rule.rule === 'values' ? step : [...step, '.']).join(JOINT));
    if (rule.rule === 'keys') collect(element, items, field, step, found);
  }
}

/** The fields that an object sets, without those that only the server sets. */
export function fieldsOf(object: JsonObject, schema: Schema | null): FieldSet {
  const found: FieldSet = new Set();
  for (const [key, value] of Object.entries(object)) {
    if (value === undefined || key === 'apiVersion' || key === 'kind') continue;
    if (key !== 'metadata') {
      collect(value, schema === null ? null : (propertySchema(schema, key) ?? {}), key, [`f:${key}`], found);
      continue;
    }
    for (const [name, entry] of Object.entries(objectAt(value)))
      if (!SERVER_METADATA.has(name) && entry !== undefined)
        collect(entry, METADATA, name, ['f:metadata', `f:${name}`], found);
  }
  return found;
}

/** As `fieldsV1`. */
export function treeOf(fields: FieldSet): JsonObject {
  const root: JsonObject = {};
  for (const path of [...fields].sort()) {
    let at = root;
    for (const step of stepsOf(path)) {
      const inner = objectAt(at[step]);
      at[step] = inner;
      at = inner;
    }
  }
  return root;
}

/** From `fieldsV1`. */
export function fieldsFrom(tree: Json | undefined): FieldSet {
  const found: FieldSet = new Set();
  const walk = (node: JsonObject, path: string[]): void => {
    const entries = Object.entries(node);
    if (entries.length === 0 && path.length > 0) found.add(path.join(JOINT));
    for (const [step, inner] of entries) walk(objectAt(inner), [...path, step]);
  };
  walk(objectAt(tree), []);
  return found;
}

function isElement(step: string, element: Json): boolean {
  const wanted = JSON.parse(step.slice(2)) as Json;
  if (step.startsWith('v:')) return equal(wanted, element);
  return Object.entries(objectAt(wanted)).every(([key, value]) => equal(objectAt(element)[key] ?? null, value));
}

function inner(value: Json | undefined, step: string): Json | undefined {
  if (step === '.') return value === undefined ? undefined : true;
  if (step.startsWith('f:')) return isObject(value) ? value[step.slice(2)] : undefined;
  return Array.isArray(value) ? value.find((element) => isElement(step, element)) : undefined;
}

/** The value of a field; of an element itself, whether it is there. */
export const fieldValueAt = (object: Json, path: string): Json | undefined =>
  stepsOf(path).reduce<Json | undefined>(inner, object);

function without(value: Json, steps: readonly string[]): Json | undefined {
  const [step, ...rest] = steps;
  if (step === undefined || step === '.') return undefined;
  if (step.startsWith('f:') && isObject(value)) {
    const key = step.slice(2);
    const present = value[key];
    if (present === undefined) return value;
    const changed = without(present, rest);
    const { [key]: _, ...others } = value;
    if (changed !== undefined) return { ...others, [key]: changed };
    // What holds nothing any more because of the removal goes with it.
    return Object.keys(others).length === 0 ? undefined : others;
  }
  if (!Array.isArray(value)) return value;
  const left = value.flatMap((element) => {
    if (!isElement(step, element)) return [element];
    const changed = rest.length === 0 ? undefined : without(element, rest);
    return changed === undefined ? [] : [changed];
  });
  return left.length === 0 ? undefined : left;
}

/** An object without some of its fields. */
export function withoutFields(object: JsonObject, fields: Iterable<string>): JsonObject {
  let result: Json | undefined = copyOf(object);
  for (const path of fields) result = result === undefined ? undefined : without(result, stepsOf(path));
  return objectAt(result);
}

function overlay(live: Json | undefined, wanted: Json, schema: Schema | null, field: string): Json {
  const atomic = schema?.['x-kubernetes-map-type'] === 'atomic';
  if (isObject(wanted) && isObject(live) && !atomic) {
    const result: JsonObject = { ...live };
    for (const [key, value] of Object.entries(wanted))
      if (value !== undefined)
        result[key] = overlay(live[key], value, schema === null ? null : (propertySchema(schema, key) ?? {}), key);
    return result;
  }
  if (!Array.isArray(wanted) || !Array.isArray(live)) return wanted;
  const rule = listRule(schema, field, wanted);
  if (rule === null || wanted.length === 0) return wanted;
  const items = schema === null ? null : objectAt(schema['items']);
  const result = [...live];
  for (const element of wanted) {
    const step = elementStep(rule, element);
    const index = result.findIndex((known) => isElement(step, known));
    if (index < 0) result.push(element);
    else result[index] = overlay(result[index], element, items, field);
  }
  return result;
}

/** The present object with what is wanted laid over it: objects and keyed lists merge, all else is replaced. */
export function overlaid(live: JsonObject, wanted: JsonObject, schema: Schema | null): JsonObject {
  const { metadata, ...rest } = wanted;
  const result = objectAt(overlay(live, rest, schema, ''));
  return { ...result, metadata: overlay(live['metadata'], objectAt(metadata), METADATA, 'metadata') };
}

/** A field for people: `.spec.containers[name="a"].image`. */
export function fieldTitle(path: string): string {
  return stepsOf(path)
    .filter((step) => step !== '.')
    .map((step) => {
      if (step.startsWith('f:')) return `.${step.slice(2)}`;
      if (step.startsWith('v:')) return `[=${step.slice(2)}]`;
      const keys = objectAt(JSON.parse(step.slice(2)) as Json);
      return `[${Object.entries(keys)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    })
    .join('');
}
