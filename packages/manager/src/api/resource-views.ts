/** How nodes, settings, images, instance managers, snapshots and the rest look through the API. */
import {
  LABEL,
  OBJECT_NAME,
  settingDefinition,
  type EngineImage,
  type InstanceManager,
  type Node,
  type Orphan,
  type RestContent,
  type SettingName,
  type Snapshot,
  type VolumeAttachment,
} from '@longhorn/shared-types';
import type { EngineSnapshotDiskInfo } from '@longhorn/shared-types/generated/imrpc';
import type { RawObject } from '../datastore/kube-transport.ts';
import { settingsOf, type ApiContext } from './api-context.ts';
import { render, type Rendered } from './rest-output.ts';
import { attachmentView, conditionMap } from './volume-view.ts';

function diskView(node: Node, name: string): RestContent<'diskInfo'> {
  const spec = node.spec.disks[name];
  const status = node.status.diskStatus[name];
  return {
    path: spec?.path ?? '',
    diskType: spec?.diskType ?? '',
    diskDriver: spec?.diskDriver ?? '',
    allowScheduling: spec?.allowScheduling ?? false,
    evictionRequested: spec?.evictionRequested ?? false,
    storageReserved: spec?.storageReserved ?? 0,
    tags: spec?.tags ?? [],
    conditions: conditionMap(status?.conditions ?? []),
    storageAvailable: status?.storageAvailable ?? 0,
    storageScheduled: status?.storageScheduled ?? 0,
    storageMaximum: status?.storageMaximum ?? 0,
    scheduledReplica: status?.scheduledReplica ?? {},
    scheduledBackingImage: status?.scheduledBackingImage ?? {},
    diskUUID: status?.diskUUID ?? '',
  };
}

/** IP of the manager's pod on a node; '' when there is none. */
export function managerAddress({ datastore }: ApiContext, node: string): string {
  const pods = datastore.pods
    .byIndex('node', node)
    .filter((pod) => pod.metadata.labels[LABEL.app] === OBJECT_NAME.managerApp && pod.podIp !== '');
  return (pods.find((pod) => pod.ready) ?? pods[0])?.podIp ?? '';
}

export function nodeView(context: ApiContext, node: Node): Rendered<'node'> {
  const { spec, status, metadata } = node;
  return render(
    'node',
    metadata.name,
    {
      name: metadata.name,
      address: managerAddress(context, metadata.name),
      allowScheduling: spec.allowScheduling,
      evictionRequested: spec.evictionRequested,
      tags: spec.tags,
      instanceManagerCPURequest: spec.instanceManagerCPURequest,
      region: status.region,
      zone: status.zone,
      autoEvicting: status.autoEvicting,
      hostnameLabel: context.datastore.kubeNodes.get(metadata.name)?.metadata.labels['kubernetes.io/hostname'] ?? '',
      conditions: conditionMap(status.conditions),
      disks: Object.fromEntries(Object.keys(spec.disks).map((name) => [name, diskView(node, name)])),
    },
    ['diskUpdate'],
  );
}

/** A setting, whether it is stored or has its default. */
export function settingView({ datastore }: ApiContext, name: SettingName): Rendered<'setting'> {
  const stored = datastore.store('Setting').get(name);
  const definition = settingDefinition(name);
  return render('setting', name, {
    name,
    value: stored?.value ?? definition.default,
    applied: stored?.status.applied ?? false,
    definition: {
      displayName: definition.displayName,
      description: definition.description,
      category: definition.category,
      type: definition.type,
      required: definition.required,
      readOnly: definition.readOnly,
      default: definition.default,
      // Left out while empty, as upstream's clients expect.
      ...(definition.options.length > 0 ? { options: definition.options.map(String) } : {}),
      ...(definition.range === null ? {} : { range: { ...definition.range } }),
      ...(definition.floatRange === null ? {} : { floatRange: { ...definition.floatRange } }),
      ...(definition.dataEngineSpecific ? { dataEngineSpecific: true } : {}),
    },
  });
}

export function engineImageView(context: ApiContext, image: EngineImage): Rendered<'engineImage'> {
  const { metadata, spec, status } = image;
  return render('engineImage', metadata.name, {
    name: metadata.name,
    image: spec.image,
    default: spec.image === settingsOf(context).get('default-engine-image'),
    ownerID: status.ownerID,
    state: status.state,
    refCount: status.refCount,
    noRefSince: status.noRefSince,
    incompatible: status.incompatible,
    conditions: status.conditions,
    nodeDeploymentMap: status.nodeDeploymentMap,
    version: status.version,
    gitCommit: status.gitCommit,
    buildDate: status.buildDate,
    cliAPIVersion: status.cliAPIVersion,
    cliAPIMinVersion: status.cliAPIMinVersion,
    controllerAPIVersion: status.controllerAPIVersion,
    controllerAPIMinVersion: status.controllerAPIMinVersion,
    dataFormatVersion: status.dataFormatVersion,
    dataFormatMinVersion: status.dataFormatMinVersion,
  });
}

export function instanceManagerView(manager: InstanceManager): Rendered<'instanceManager'> {
  const { metadata, spec, status } = manager;
  return render('instanceManager', metadata.name, {
    name: metadata.name,
    currentState: status.currentState,
    image: spec.image,
    nodeID: spec.nodeID,
    managerType: spec.type,
    dataEngine: spec.dataEngine,
    instanceEngines: status.instanceEngines,
    instanceReplicas: status.instanceReplicas,
    instances: status.instances,
  });
}

export function volumeAttachmentView(attachment: VolumeAttachment): Rendered<'volumeAttachment'> {
  return render('volumeAttachment', attachment.metadata.name, attachmentView(attachment.spec.volume, attachment));
}

export function orphanView({ metadata, spec }: Orphan): Rendered<'orphan'> {
  return render('orphan', metadata.name, {
    name: metadata.name,
    nodeID: spec.nodeID,
    orphanType: spec.orphanType,
    dataEngine: spec.dataEngine,
    parameters: spec.parameters,
  });
}

/** A snapshot object. */
export function snapshotCrView(snapshot: Snapshot): Rendered<'snapshotCR'> {
  const { metadata, spec, status } = snapshot;
  return render('snapshotCR', metadata.name, {
    name: metadata.name,
    crCreationTime: metadata.creationTimestamp ?? '',
    volume: spec.volume,
    createSnapshot: spec.createSnapshot,
    parent: status.parent,
    children: status.children,
    markRemoved: status.markRemoved,
    userCreated: status.userCreated,
    creationTime: status.creationTime,
    size: status.size,
    restoreSize: status.restoreSize,
    labels: Object.keys(spec.labels).length > 0 ? spec.labels : status.labels,
    ownerID: status.ownerID,
    error: status.error,
    readyToUse: status.readyToUse,
    checksum: status.checksum,
  });
}

/** A snapshot as the engine lists it. */
export function snapshotView(info: EngineSnapshotDiskInfo, checksum: string): Rendered<'snapshot'> {
  return render('snapshot', info.name, {
    name: info.name,
    parent: info.parent,
    children: info.children,
    removed: info.removed,
    usercreated: info.user_created,
    created: info.created,
    size: info.size,
    labels: info.labels,
    checksum,
  });
}

/** A Kubernetes event as it is. */
export function eventView(event: RawObject): Rendered<'event'> {
  const { type } = event;
  return render('event', event.metadata.name, { event, eventType: typeof type === 'string' ? type : '' });
}
