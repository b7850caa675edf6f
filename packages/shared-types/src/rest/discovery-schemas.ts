/** REST resources: the API itself. Fields as upstream has them; `added` ones are ours. */
import type { RestSchemaTable } from './schema-form.ts';

/** Schema id to schema. */
export const discoverySchemas = {
  apiVersion: {
    fields: {},
  },
  schema: {
    fields: {
      collectionActions: 'map[string]',
      collectionFields: 'map[string]',
      collectionFilters: 'map[string]',
      collectionMethods: 'array[string]',
      includeableLinks: 'array[string]',
      pluralName: 'string',
      resourceActions: 'map[string]',
      resourceFields: 'map[string]',
      resourceMethods: 'array[string]',
    },
  },
  error: {
    fields: {
      code: 'string',
      detail: 'string',
      message: 'string',
      status: 'int',
    },
  },
  empty: {
    fields: {},
  },
} as const satisfies RestSchemaTable;
