/**
 * Validation of a custom resource against its structural schema, with the real server's words.
 */
import { validationCausesMax } from '../limits.ts';
import { equal, isObject, listAt, objectAt, stringAt, type Json, type JsonObject } from './json.ts';
import { isIntOrString, propertySchema, type Schema } from './schema.ts';
import { causes, type Cause } from './status-error.ts';

function typeName(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function hasType(value: Json, type: string): boolean {
  const actual = typeName(value);
  return actual === type || (type === 'number' && actual === 'integer');
}

const FORMATS: Record<string, RegExp> = {
  'date-time': /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/,
  date: /^\d{4}-\d{2}-\d{2}$/,
  uuid: /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i,
  byte: /^[A-Za-z0-9+/]*={0,2}$/,
};

/** Compiled patterns of schemas; Go's `(?i)` prefix has no inline form here. */
const patterns = new Map<string, RegExp>();
function patternOf(text: string): RegExp {
  let known = patterns.get(text);
  if (known === undefined) {
    known = text.startsWith('(?i)') ? new RegExp(text.slice(4), 'i') : new RegExp(text);
    patterns.set(text, known);
  }
  return known;
}

/** Collects causes up to a maximum. */
class Validation {
  readonly found: Cause[] = [];
  add(cause: Cause): void {
    if (this.found.length < validationCausesMax) this.found.push(cause);
  }

  value(value: Json, schema: Schema, path: string): void {
    if (value === null && schema['nullable'] === true) return;
    const type = stringAt(schema['type']);
    if (isIntOrString(schema)) {
      if (!hasType(value, 'integer') && typeof value !== 'string') this.#wrongType(value, 'integer,string', path);
    } else if (type !== '' && !hasType(value, type)) {
      this.#wrongType(value, type, path);
      return;
    }
    this.#enumeration(value, schema, path);
    if (typeof value === 'number') this.#number(value, schema, path);
    else if (typeof value === 'string') this.#string(value, schema, path);
    else if (Array.isArray(value)) this.#list(value, schema, path);
    else if (isObject(value)) this.#object(value, schema, path);
    this.#combinations(value, schema, path);
  }

  #wrongType(value: Json, type: string, path: string): void {
    const actual = typeName(value);
    this.add(causes.typeInvalid(path, actual, `${path} in body must be of type ${type}: "${actual}"`));
  }

  #enumeration(value: Json, schema: Schema, path: string): void {
    const allowed = listAt(schema['enum']);
    if (allowed.length === 0 || allowed.some((entry) => equal(entry, value))) return;
    const words = allowed.map((entry) => (typeof entry === 'string' ? entry : JSON.stringify(entry)));
    this.add(causes.notSupported(path, value, words));
  }

  #number(value: number, schema: Schema, path: string): void {
    const { minimum, maximum, multipleOf } = schema;
    const integer = schema['type'] === 'integer';
    if (integer && !Number.isSafeInteger(value))
      this.add(causes.invalid(path, value, `${path} in body must be an integer below 2^53; larger values lose digits`));
    if (schema['format'] === 'int32' && Math.abs(value) > 2 ** 31)
      this.add(causes.invalid(path, value, `${path} in body must be of type int32: "${value}"`));
    const exclusiveMin = schema['exclusiveMinimum'] === true;
    if (typeof minimum === 'number' && (exclusiveMin ? value <= minimum : value < minimum))
      this.add(
        causes.invalid(
          path,
          value,
          `${path} in body should be greater than ${exclusiveMin ? '' : 'or equal to '}${minimum}`,
        ),
      );
    const exclusiveMax = schema['exclusiveMaximum'] === true;
    if (typeof maximum === 'number' && (exclusiveMax ? value >= maximum : value > maximum))
      this.add(
        causes.invalid(
          path,
          value,
          `${path} in body should be less than ${exclusiveMax ? '' : 'or equal to '}${maximum}`,
        ),
      );
    if (typeof multipleOf === 'number' && value % multipleOf !== 0)
      this.add(causes.invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  }

  #string(value: string, schema: Schema, path: string): void {
    const { minLength, maxLength, pattern, format } = schema;
    if (typeof minLength === 'number' && value.length < minLength)
      this.add(causes.invalid(path, value, `${path} in body should be at least ${minLength} chars long`));
    if (typeof maxLength === 'number' && value.length > maxLength) this.add(causes.tooLong(path, maxLength));
    if (typeof pattern === 'string' && !patternOf(pattern).test(value))
      this.add(causes.invalid(path, value, `${path} in body should match '${pattern}'`));
    const shape = typeof format === 'string' ? FORMATS[format] : undefined;
    if (shape !== undefined && !shape.test(value))
      this.add(
        causes.typeInvalid(
          path,
          value,
          `${path} in body must be of type ${stringAt(format)}: ${JSON.stringify(value)}`,
        ),
      );
  }

  #list(value: Json[], schema: Schema, path: string): void {
    const { minItems, maxItems, items } = schema;
    if (typeof minItems === 'number' && value.length < minItems)
      this.add(causes.invalid(path, value.length, `${path} in body should have at least ${minItems} items`));
    if (typeof maxItems === 'number' && value.length > maxItems) this.add(causes.tooMany(path, value.length, maxItems));
    if (isObject(items)) value.forEach((entry, index) => this.value(entry, items, `${path}[${index}]`));
    this.#uniqueKeys(value, schema, path);
  }

  #uniqueKeys(value: Json[], schema: Schema, path: string): void {
    const kind = schema['x-kubernetes-list-type'];
    if (kind !== 'map' && kind !== 'set') return;
    const keys = listAt(schema['x-kubernetes-list-map-keys']).map(stringAt);
    const seen = new Set<string>();
    value.forEach((entry, index) => {
      const key = JSON.stringify(
        kind === 'set' ? entry : Object.fromEntries(keys.map((name) => [name, objectAt(entry)[name] ?? null])),
      );
      if (seen.has(key))
        this.add({ reason: 'FieldValueDuplicate', message: `Duplicate value: ${key}`, field: `${path}[${index}]` });
      seen.add(key);
    });
  }

  #object(value: JsonObject, schema: Schema, path: string): void {
    for (const name of listAt(schema['required'])) {
      const key = stringAt(name);
      if (value[key] === undefined) this.add(causes.required(path === '' ? key : `${path}.${key}`));
    }
    const count = Object.keys(value).length;
    const { minProperties, maxProperties } = schema;
    if (typeof minProperties === 'number' && count < minProperties)
      this.add(causes.invalid(path, count, `${path} in body should have at least ${minProperties} properties`));
    if (typeof maxProperties === 'number' && count > maxProperties)
      this.add(causes.invalid(path, count, `${path} in body should have at most ${maxProperties} properties`));
    for (const [key, entry] of Object.entries(value)) {
      const inner = propertySchema(schema, key);
      if (inner !== null && entry !== undefined) this.value(entry, inner, path === '' ? key : `${path}.${key}`);
    }
  }

  #combinations(value: Json, schema: Schema, path: string): void {
    const passes = (inner: Json): boolean => validate(value, objectAt(inner), path).length === 0;
    for (const inner of listAt(schema['allOf'])) this.value(value, objectAt(inner), path);
    const anyOf = listAt(schema['anyOf']);
    if (anyOf.length > 0 && !isIntOrString(schema) && !anyOf.some(passes))
      this.add(causes.invalid(path, value, `${path} in body must validate at least one schema (anyOf)`));
    const oneOf = listAt(schema['oneOf']);
    if (oneOf.length > 0 && oneOf.filter(passes).length !== 1)
      this.add(causes.invalid(path, value, `${path} in body must validate one and only one schema (oneOf)`));
    if (isObject(schema['not']) && passes(schema['not']))
      this.add(causes.invalid(path, value, `${path} in body must not validate the schema (not)`));
  }
}

/** Faults of a value against a schema, at most `validationCausesMax`. */
export function validate(value: Json, schema: Schema, path: string): Cause[] {
  const validation = new Validation();
  validation.value(value, schema, path);
  return validation.found.toSorted((a, b) => (a.field < b.field ? -1 : a.field > b.field ? 1 : 0));
}
