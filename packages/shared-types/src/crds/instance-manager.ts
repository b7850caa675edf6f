/** Custom resource InstanceManager: the supervisor of engine and replica processes on one node. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { choice, flag, int32, int64, integer, knownText, map, object, text } from './schema-fragments.ts';

const instanceProcess = object(
  {
    spec: object(
      { dataEngine: text('v1 or v2.'), name: text('Name of the Engine or Replica.') },
      'What the process is.',
    ),
    status: object(
      {
        conditions: map(flag(''), 'Conditions that the process reports.', { nullable: true }),
        endpoint: text('Where the frontend serves.'),
        errorMsg: text('Error text.'),
        listen: text('Listen address.'),
        portEnd: int32('Last port.'),
        portStart: int32('First port.'),
        resourceVersion: int64('Counts changes of the process.'),
        state: text('State of the process.'),
        targetPortEnd: int32('Last target port (v2).'),
        targetPortStart: int32('First target port (v2).'),
        type: text('engine, replica or empty.'),
        ublkID: int32('Number of the ublk device (v2).'),
        uuid: text('UUID of the process.'),
      },
      'How the process is.',
    ),
  },
  'A process of an instance manager.',
);

const spec = object(
  {
    dataEngine: text('v1 or v2.'),
    dataEngineSpec: object(
      { v2: object({ cpuMask: text('CPU mask on this node; overrides the setting.') }, 'v2 overrides.') },
      'Per engine overrides.',
    ),
    image: text('Instance manager image.'),
    nodeID: text('Node that it runs on.'),
    type: choice(['aio', 'engine', 'replica'], 'aio: engines and replicas; engine and replica are of old versions.'),
  },
  'What is wanted.',
);

const status = object(
  {
    apiMinVersion: integer('Lowest version of its API that it serves; 0: unknown.'),
    apiVersion: integer('Version of its API; 0: unknown, -1: incompatible.'),
    backingImages: map(
      object(
        {
          currentChecksum: text('SHA-512 of the file.'),
          diskUUID: text('UUID of the disk.'),
          message: text('What is to be told about it.'),
          name: text('Name of the backing image.'),
          progress: integer('Percent done.'),
          size: int64('Bytes of the file.'),
          state: text('State of the copy.'),
          uuid: text('UUID of the backing image.'),
        },
        'One entry.',
      ),
      'Copies of backing images (v2), by NAME-DISKUUID.',
      { nullable: true },
    ),
    currentState: knownText(
      ['running', 'stopped', 'starting', 'error', 'unknown'],
      'running, stopped, starting, error or unknown.',
    ),
    dataEngineStatus: object(
      {
        v2: object(
          {
            cpuMask: text('Mask the pod was started with.'),
            interruptModeEnabled: choice(['', 'true', 'false'], 'Value the pod was started with.'),
          },
          'v2.',
        ),
      },
      'Effective values.',
    ),
    instanceEngines: map(instanceProcess, 'Engine processes by name.', { nullable: true }),
    instanceReplicas: map(instanceProcess, 'Replica processes by name.', { nullable: true }),
    instances: map(instanceProcess, 'Processes of instance managers of old versions.', { nullable: true }),
    ip: text('IP of its pod.'),
    ownerID: text('Node whose manager takes care of this object.'),
    proxyApiMinVersion: integer('Lowest version of the proxy API that it serves.'),
    proxyApiVersion: integer('Version of the proxy API.'),
  },
  'What is.',
);

/** Names, columns and schema of InstanceManager. */
export const instanceManagerKind = defineKind({
  kind: 'InstanceManager',
  plural: 'instancemanagers',
  shortName: 'lhim',
  description: 'The supervisor of engine and replica processes on one node.',
  hasFinalizer: false,
  columns: [
    ['Data Engine', 'string', '.spec.dataEngine'],
    ['State', 'string', '.status.currentState'],
    ['Type', 'string', '.spec.type'],
    ['Node', 'string', '.spec.nodeID'],
    ['Age', 'date', '.metadata.creationTimestamp'],
  ],
  fields: { spec, status },
});

/** Wanted state of an InstanceManager. */
export type InstanceManagerSpec = Static<typeof spec>;
/** Observed state of an InstanceManager. */
export type InstanceManagerStatus = Static<typeof status>;
/** The supervisor of engine and replica processes on one node. */
export type InstanceManager = KubernetesObject<InstanceManagerSpec, InstanceManagerStatus, 'InstanceManager'>;
