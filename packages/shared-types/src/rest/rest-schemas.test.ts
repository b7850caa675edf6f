import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { REST_SCHEMA_IDS, restSchema, schemaResource, schemaResources, type RestContent } from './rest-schemas.ts';
import type { RestFieldForm } from './schema-form.ts';

const golden: { order: string[]; schemas: Record<string, object> } = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../test/golden/v1.10.1/rest-schemas.json'), 'utf8'),
);

/** Fields and schemas of ours, each with its reason. */
const ADDED: Record<string, string> = {
  'volume.blockedBy': 'why a volume is not healthy',
  volumeBlocker: 'one such reason',
  volumeCreateNotes: 'what a client tells beside a new volume: StorageClass keys that mean nothing to it',
  'controller.ioState': 'whether I/O is held',
  'controller.ioReason': 'whether I/O is held',
  'controller.ioSince': 'whether I/O is held',
  'node.hostnameLabel': 'by what Kubernetes knows the node in topologies',
};

function isAdded(field: string | RestFieldForm): boolean {
  return typeof field !== 'string' && field.added === true;
}

describe('REST schemas', () => {
  it('are listed in the order of upstream', () => {
    expect(REST_SCHEMA_IDS.slice(0, golden.order.length)).toEqual(golden.order);
    expect(golden.order).toHaveLength(84);
  });

  it.each(REST_SCHEMA_IDS.slice(0, golden.order.length))('%s has the fields, methods and actions of upstream', (id) => {
    const { id: _id, type: _type, links: _links, actions: _actions, ...shown } = schemaResource(id, 'http://HOST');
    for (const [name, field] of Object.entries(restSchema(id).fields)) {
      if (isAdded(field)) delete shown.resourceFields[name];
    }
    expect(shown).toEqual(golden.schemas[id]);
  });

  it('have only the listed additions', () => {
    const found = REST_SCHEMA_IDS.flatMap((id) =>
      restSchema(id).added === true
        ? [id]
        : Object.entries(restSchema(id).fields).flatMap(([name, field]) => (isAdded(field) ? [`${id}.${name}`] : [])),
    );
    expect(found.toSorted()).toEqual(Object.keys(ADDED).toSorted());
  });

  it('link to themselves and to their collection', () => {
    expect(schemaResources('http://h:1/p').find(({ id }) => id === 'backupStatus')?.links).toEqual({
      self: 'http://h:1/p/v1/schemas/backupStatus',
      collection: 'http://h:1/p/v1/backupstatuses',
    });
  });

  it('give the types of resources', () => {
    expectTypeOf<RestContent<'volume'>['controllers'][number]['hostId']>().toEqualTypeOf<string>();
    expectTypeOf<RestContent<'node'>['conditions']['Ready']>().not.toBeAny();
    expectTypeOf<RestContent<'snapshotCR'>['error']>().toEqualTypeOf<string | undefined>();
  });
});
