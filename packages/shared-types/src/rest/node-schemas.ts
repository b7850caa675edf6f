/** REST resources: nodes, settings, images, instance managers and events. Fields as upstream has them; `added` ones are ours. */
import type { RestSchemaTable } from './schema-form.ts';

/** Schema id to schema. */
export const nodeSchemas = {
  node: {
    resourceMethods: ['GET', 'PUT'],
    fields: {
      address: 'string',
      allowScheduling: { type: 'bool', required: true },
      autoEvicting: 'bool',
      conditions: 'map[nodeCondition]',
      disks: { type: 'map[diskInfo]', nullable: true },
      evictionRequested: { type: 'bool', required: true },
      hostnameLabel: { type: 'string', added: true },
      instanceManagerCPURequest: 'int',
      name: 'string',
      region: 'string',
      tags: { type: 'array[string]', create: true },
      zone: 'string',
    },
    actions: {
      diskUpdate: { input: 'diskUpdateInput', output: 'node' },
    },
  },
  diskInfo: {
    isPlain: true,
    fields: {
      allowScheduling: 'bool',
      conditions: 'map[diskCondition]',
      diskDriver: 'string',
      diskType: 'string',
      diskUUID: 'string',
      evictionRequested: 'bool',
      path: 'string',
      scheduledBackingImage: { type: 'map[string]', actual: 'map[int]' },
      scheduledReplica: { type: 'map[string]', actual: 'map[int]' },
      storageAvailable: 'int',
      storageMaximum: 'int',
      storageReserved: 'int',
      storageScheduled: 'int',
      tags: 'array[string]',
    },
  },
  diskUpdate: {
    isPlain: true,
    fields: {
      allowScheduling: 'bool',
      diskDriver: 'string',
      diskType: 'string',
      evictionRequested: 'bool',
      path: 'string',
      storageReserved: 'int',
      tags: 'array[string]',
    },
  },
  nodeCondition: {
    isPlain: true,
    fields: {
      lastProbeTime: 'string',
      lastTransitionTime: 'string',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
  },
  diskCondition: {
    isPlain: true,
    fields: {
      lastProbeTime: 'string',
      lastTransitionTime: 'string',
      message: 'string',
      reason: 'string',
      status: 'string',
      type: 'string',
    },
  },
  setting: {
    resourceMethods: ['GET', 'PUT'],
    fields: {
      applied: 'bool',
      definition: 'settingDefinition',
      name: { type: 'string', required: true, unique: true },
      value: { type: 'string', update: true, required: true },
    },
  },
  settingDefinition: {
    isPlain: true,
    fields: {
      category: 'string',
      dataEngineSpecific: { type: 'bool', omitEmpty: true },
      default: 'string',
      description: 'string',
      displayName: 'string',
      floatRange: { type: 'map[string]', actual: 'map[int]', omitEmpty: true },
      options: { type: 'array[string]', omitEmpty: true },
      range: { type: 'map[string]', actual: 'map[int]', omitEmpty: true },
      readOnly: 'bool',
      required: 'bool',
      type: 'string',
    },
  },
  engineImage: {
    collectionMethods: ['GET', 'POST'],
    resourceMethods: ['GET', 'DELETE'],
    fields: {
      buildDate: 'string',
      cliAPIMinVersion: 'int',
      cliAPIVersion: 'int',
      conditions: { type: 'array[string]', actual: 'array[longhornCondition]' },
      controllerAPIMinVersion: 'int',
      controllerAPIVersion: 'int',
      dataFormatMinVersion: 'int',
      dataFormatVersion: 'int',
      default: 'bool',
      gitCommit: 'string',
      image: { type: 'string', create: true, required: true, unique: true },
      incompatible: 'bool',
      name: 'string',
      noRefSince: 'string',
      nodeDeploymentMap: { type: 'map[string]', actual: 'map[bool]' },
      ownerID: 'string',
      refCount: 'int',
      state: 'string',
      version: 'string',
    },
  },
  instanceManager: {
    fields: {
      currentState: 'string',
      dataEngine: 'string',
      image: 'string',
      instanceEngines: { type: 'map[string]', actual: 'map[instanceProcess]' },
      instanceReplicas: { type: 'map[string]', actual: 'map[instanceProcess]' },
      instances: { type: 'map[string]', actual: 'map[instanceProcess]' },
      managerType: 'string',
      name: 'string',
      nodeID: 'string',
    },
  },
  instanceProcess: {
    isPlain: true,
    fields: {
      spec: 'v1beta2.InstanceProcessSpec',
      status: 'v1beta2.InstanceProcessStatus',
    },
  },
  event: {
    fields: {
      event: 'v1.Event',
      eventType: 'string',
    },
  },
  tag: {
    fields: {
      name: 'string',
      tagType: 'string',
    },
  },
  orphan: {
    fields: {
      dataEngine: { type: 'string', omitEmpty: true },
      name: 'string',
      nodeID: 'string',
      orphanType: 'string',
      parameters: 'map[string]',
    },
  },
  supportBundle: {
    fields: {
      errorMessage: 'string',
      name: 'string',
      nodeID: 'string',
      progressPercentage: 'int',
      state: 'string',
    },
  },
} as const satisfies RestSchemaTable;
