/** Custom resource EngineImage: an image that carries the engine binary, and where it is deployed. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, flag, integer, knownText, map, object, text } from './schema-fragments.ts';

const spec = object(
  { image: text('Reference of the image; the name of the object comes from it.', { required: true, minLength: 1 }) },
  'What is wanted.',
);

const status = object(
  {
    buildDate: text('When the binary was built.'),
    cliAPIMinVersion: integer('Lowest version of the command line that it serves.'),
    cliAPIVersion: integer('Version of the command line.'),
    conditions: conditions('Whether it is ready on all nodes.'),
    controllerAPIMinVersion: integer('Lowest version of the engine API that it serves.'),
    controllerAPIVersion: integer('Version of the engine API.'),
    dataFormatMinVersion: integer('Lowest version of replica files that it opens.'),
    dataFormatVersion: integer('Version of replica files.'),
    gitCommit: text('Commit that the binary was built from.'),
    incompatible: flag('The manager cannot work with it.'),
    noRefSince: text('Since when nothing uses it; deleted an hour later unless it is the default. RFC 3339.'),
    nodeDeploymentMap: map(flag(''), 'Node name to whether it is there.', { nullable: true }),
    ownerID: text('Node whose manager takes care of this object.'),
    refCount: integer('How many volumes, engines and replicas use it.'),
    state: knownText(['deploying', 'deployed', 'incompatible', 'error'], 'deploying or deployed.'),
    version: text('Version of the binary.'),
  },
  'What is.',
);

/** Names, columns and schema of EngineImage. */
export const engineImageKind = defineKind({
  kind: 'EngineImage',
  plural: 'engineimages',
  shortName: 'lhei',
  description: 'An image that carries the engine binary, and where it is deployed.',
  hasFinalizer: true,
  columns: [
    ['Incompatible', 'boolean', '.status.incompatible'],
    ['State', 'string', '.status.state'],
    ['Image', 'string', '.spec.image'],
    ['RefCount', 'integer', '.status.refCount'],
    ['BuildDate', 'date', '.status.buildDate'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of an EngineImage. */
export type EngineImageSpec = Static<typeof spec>;
/** Observed state of an EngineImage. */
export type EngineImageStatus = Static<typeof status>;
/** An image that carries the engine binary, and where it is deployed. */
export type EngineImage = KubernetesObject<EngineImageSpec, EngineImageStatus, 'EngineImage'>;
