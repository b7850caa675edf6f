/**
 * How REST resources are written down, and how TypeScript types come out of it. A field is its type as the schema
 * names it (`string`, `map[bool]`, `array[replica]`), or a record with what else the schema says.
 */

/** A field with more than a type. All flags are hints for clients; the server checks on its own. */
export interface RestFieldForm {
  type: string;
  create?: boolean;
  update?: boolean;
  required?: boolean;
  unique?: boolean;
  nullable?: boolean;
  default?: string | number | boolean;
  /** The key is left out while the value is empty. */
  omitEmpty?: boolean;
  /** What the field really is, where upstream's schema says something else. */
  actual?: string;
  /** Not a field of upstream. */
  added?: boolean;
}

/** HTTP methods of collections and resources. */
export type RestMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Input and output of an action, by schema id. */
export interface RestActionForm {
  input?: string;
  output?: string;
}

/** One resource or input type. */
export interface RestSchemaForm {
  fields: Readonly<Record<string, string | RestFieldForm>>;
  /** Without the fields id, type, links and actions. */
  isPlain?: boolean;
  collectionMethods?: readonly RestMethod[];
  resourceMethods?: readonly RestMethod[];
  actions?: Readonly<Record<string, RestActionForm>>;
  /** Not a schema of upstream. */
  added?: boolean;
}

/** Schema id to schema. */
export type RestSchemaTable = Readonly<Record<string, RestSchemaForm>>;

/** Fields that every resource has. */
export interface RestBase {
  id: string;
  type: string;
  links: Record<string, string>;
  actions: Record<string, string>;
}

type TypeName<F> = F extends { actual: infer A extends string }
  ? A
  : F extends { type: infer T extends string }
    ? T
    : F extends string
      ? F
      : never;

/** TypeScript type of a type name, looked up in a table. */
export type RestValue<Table extends RestSchemaTable, T extends string> = T extends 'string'
  ? string
  : T extends 'int'
    ? number
    : T extends 'bool'
      ? boolean
      : T extends `array[${infer U}]`
        ? RestValue<Table, U>[]
        : T extends `map[${infer U}]`
          ? Record<string, RestValue<Table, U>>
          : T extends keyof Table
            ? RestFields<Table, T>
            : unknown;

type OmittedKeys<F> = { [K in keyof F]: F[K] extends { omitEmpty: true } ? K : never }[keyof F];

/** The own fields of a schema. */
export type RestFields<Table extends RestSchemaTable, Id extends keyof Table> = {
  [K in Exclude<keyof Table[Id]['fields'], OmittedKeys<Table[Id]['fields']>>]: RestValue<
    Table,
    TypeName<Table[Id]['fields'][K]>
  >;
} & {
  [K in OmittedKeys<Table[Id]['fields']>]?: RestValue<Table, TypeName<Table[Id]['fields'][K]>>;
};
