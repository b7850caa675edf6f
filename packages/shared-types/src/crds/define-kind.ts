/** One record per kind: names, printer columns and schema, from which the CRD, the types and the tables come. */
import type { TSchema } from 'typebox';

/** API group of all kinds. */
export const API_GROUP = 'longhorn.io';
/** The only version that is served and stored. */
export const API_VERSION_NAME = 'v1beta2';
/** `apiVersion` of all objects. */
export const API_VERSION = 'longhorn.io/v1beta2';

/** A column of `kubectl get`. Its description is that of the field it shows. */
export interface PrinterColumn {
  name: string;
  type: 'string' | 'boolean' | 'integer' | 'date';
  jsonPath: string;
}

/** Everything about a kind that is not behaviour. */
export interface KindDefinition<
  K extends string = string,
  Top extends Record<string, TSchema> = Record<string, TSchema>,
> {
  kind: K;
  listKind: `${K}List`;
  plural: string;
  singular: string;
  shortNames: readonly string[];
  categories: readonly string[];
  scope: 'Namespaced';
  description: string;
  printerColumns: readonly PrinterColumn[];
  /** Top level fields besides apiVersion, kind and metadata. */
  fields: Top;
  /** Whether the admission webhook adds the finalizer `longhorn.io`. */
  hasFinalizer: boolean;
}

interface KindInput<K extends string, Top extends Record<string, TSchema>> {
  kind: K;
  plural: string;
  shortName: string;
  description: string;
  hasFinalizer: boolean;
  /** Name, type and path of each column; a trailing Age column is written out like the others. */
  columns: readonly (readonly [name: string, type: PrinterColumn['type'], jsonPath: string])[];
  fields: Top;
}

/** Makes the record of one kind. */
export function defineKind<const K extends string, Top extends Record<string, TSchema>>(
  input: KindInput<K, Top>,
): KindDefinition<K, Top> {
  return {
    kind: input.kind,
    listKind: `${input.kind}List`,
    plural: input.plural,
    singular: input.kind.toLowerCase(),
    shortNames: [input.shortName],
    categories: [],
    scope: 'Namespaced',
    description: input.description,
    printerColumns: input.columns.map(([name, type, jsonPath]) => ({ name, type, jsonPath })),
    fields: input.fields,
    hasFinalizer: input.hasFinalizer,
  };
}
