/** What every controller works with. */
import type { Logger } from 'pino';
import type { InstanceManager, Node } from '@longhorn/shared-types';
import type { Clock } from '../clock.ts';
import type { Datastore } from '../datastore/datastore.ts';
import type { EventRecord, EventRecorder, EventSubject } from '../datastore/event-recorder.ts';
import type { InstanceManagerCalls } from '../instance-client/instance-managers.ts';
import type { HostFacts } from '../environment/host-facts.ts';
import type { BlockDevice } from '../io/block-device.ts';
import type { DiskMeasure, DiskProbe, DiskToProbe, ProbeOptions } from '../io/disk-probe.ts';
import type { EngineVersions } from '../io/engine-binary.ts';
import type { ReplicaData } from '../io/replica-data.ts';
import type { EngineImage } from '@longhorn/shared-types';
import { isResponsible, nodeIsUnavailable } from './ownership.ts';
import { SettingsView } from './settings-view.ts';

/** Images and names that the daemon was started with. */
export interface Images {
  engine: string;
  instanceManager: string;
  manager: string;
  shareManager: string;
  backingImageManager: string;
  supportBundleManager: string;
}

export interface NodeEnvironment {
  /** Prefix of the host's file system. */
  hostRoot: string;
  /** Folder of this system on the host; also the default disk. */
  dataRoot: string;
  engineBinariesDir: string;
}

/** What the controllers see and do on their own node. */
export interface NodeIo {
  probeDisk: (disk: DiskToProbe, options: ProbeOptions) => Promise<DiskProbe>;
  prepareDisk: (root: string) => Promise<DiskMeasure>;
  /** Throws if there is no such folder. */
  measureDisk: (root: string) => Promise<DiskMeasure>;
  removeReplicaData: (data: ReplicaData, hostRoot: string) => Promise<void>;
  engineVersions: (path: string) => Promise<EngineVersions | null>;
  /** `root`: where the host's `/` is seen, '' = here. */
  readHostFacts: (root: string, dataPath: string, node: string) => Promise<HostFacts>;
  /** Null if there is none at the path. */
  blockDeviceAt: (path: string, hostRoot: string) => Promise<BlockDevice | null>;
}

export interface ControllerContext {
  /** Name of this node. */
  me: string;
  namespace: string;
  serviceAccount: string;
  images: Images;
  environment: NodeEnvironment;
  datastore: Datastore;
  managers: InstanceManagerCalls;
  io: NodeIo;
  events: EventRecorder;
  clock: Clock;
  log: Logger;
  /** 8 random hex digits. */
  hex: () => string;
  uuid: () => string;
}

export function settingsOf({ datastore }: ControllerContext): SettingsView {
  return new SettingsView((name) => datastore.stores.Setting.get(name)?.value ?? null);
}

export function nodeOf({ datastore }: ControllerContext, name: string): Node | null {
  return name === '' ? null : datastore.stores.Node.get(name);
}

/** Whether this manager acts on an object, by the basic rule. */
export function responsible(context: ControllerContext, preferred: string, current: string): boolean {
  const isAvailable = (node: string): boolean => node !== '' && !nodeIsUnavailable(nodeOf(context, node));
  return isResponsible({ me: context.me, preferred, current, isAvailable });
}

/** Image of the instance managers that take new processes. */
export function imageOfInstanceManagers(context: ControllerContext): string {
  return settingsOf(context).get('default-instance-manager-image') || context.images.instanceManager;
}

/** The instance manager that runs an instance, or the default one of its node. */
export function instanceManagerOf(
  context: ControllerContext,
  instance: { spec: { nodeID: string }; status: { instanceManagerName: string } },
): InstanceManager | null {
  const { datastore } = context;
  const named = datastore.stores.InstanceManager.get(instance.status.instanceManagerName);
  if (named !== null) return named;
  if (instance.spec.nodeID === '') return null;
  const image = imageOfInstanceManagers(context);
  const all = datastore.stores.InstanceManager.byIndex('node', instance.spec.nodeID);
  return all.find((im) => im.spec.image === image && im.spec.dataEngine !== 'v2' && im.spec.type === 'aio') ?? null;
}

export function imageIsReadyOn(image: EngineImage | null, node: string): boolean {
  if (image === null || !['deployed', 'deploying'].includes(image.status.state)) return false;
  return image.status.nodeDeploymentMap[node] === true;
}

export function recordAll(
  context: ControllerContext,
  component: string,
  subject: EventSubject,
  events: readonly EventRecord[],
): void {
  for (const event of events) context.events.record(component, subject, event);
}
