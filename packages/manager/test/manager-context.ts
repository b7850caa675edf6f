/** What the controllers of one manager work with, over an API in memory: for tests of single controllers. */
import { pino } from 'pino';
import type { ControllerContext, NodeIo } from '../src/controllers/context.ts';
import { CORE_RESOURCES, EVENT_RESOURCE } from '../src/datastore/core-kinds.ts';
import { Datastore } from '../src/datastore/datastore.ts';
import { EventRecorder } from '../src/datastore/event-recorder.ts';
import { MemoryApi } from '../src/datastore/memory-api.ts';
import { SimulatedWorld } from '../sim/simulated-world.ts';
import { VirtualClock } from '../src/virtual-clock.ts';

export const NAMESPACE = 'longhorn-system';

export interface TestManager {
  api: MemoryApi;
  clock: VirtualClock;
  world: SimulatedWorld;
  context: ControllerContext;
  /** `REASON: MESSAGE` of the events so far. */
  events: () => Promise<string[]>;
  stop: () => Promise<void>;
}

const unused = (what: string) => (): Promise<never> => Promise.reject(new Error(`${what} is not part of this test`));

const NO_IO: NodeIo = {
  probeDisk: unused('probeDisk'),
  prepareDisk: unused('prepareDisk'),
  measureDisk: unused('measureDisk'),
  removeReplicaData: unused('removeReplicaData'),
  engineVersions: unused('engineVersions'),
  readHostFacts: unused('readHostFacts'),
  blockDeviceAt: unused('blockDeviceAt'),
};

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** A manager whose caches are filled, on the node `me`, without controllers. */
export async function testManager(me: string, io: Partial<NodeIo> = {}): Promise<TestManager> {
  const clock = new VirtualClock();
  const api = new MemoryApi(() => clock.now());
  const world = new SimulatedWorld(clock);
  const log = pino({ level: 'silent' });
  const datastore = new Datastore({ transport: api, namespace: NAMESPACE, clock, log });
  let count = 0;
  const suffix = (): string => String((count += 1)).padStart(8, '0');
  const context: ControllerContext = {
    me,
    namespace: NAMESPACE,
    serviceAccount: 'longhorn-service-account',
    images: {
      engine: 'engine:1',
      instanceManager: 'instance-manager:1',
      manager: 'manager:1',
      shareManager: 'share-manager:1',
      backingImageManager: 'backing-image-manager:1',
      supportBundleManager: 'support-bundle-manager:1',
    },
    environment: { hostRoot: '/host', dataRoot: '/var/lib/longhorn/', engineBinariesDir: '/engine-binaries' },
    datastore,
    managers: world.calls(),
    io: { ...NO_IO, ...io },
    events: new EventRecorder({ transport: api, namespace: NAMESPACE, clock, log, host: me, suffix }),
    clock,
    log,
    hex: suffix,
    uuid: () => `${suffix()}-0000-4000-8000-000000000000`,
  };
  await datastore.start();
  return {
    api,
    clock,
    world,
    context,
    events: async () => {
      await settle();
      const { items } = await api.list(EVENT_RESOURCE, NAMESPACE);
      return items.map(({ reason, message }) => `${String(reason)}: ${String(message)}`);
    },
    stop: () => datastore.stop(),
  };
}

/** A node of Kubernetes as its kubelet reports it. */
export async function addKubeNode(
  api: MemoryApi,
  name: string,
  metadata: { labels?: Record<string, string>; annotations?: Record<string, string> } = {},
): Promise<void> {
  await api.create(CORE_RESOURCES.kubeNodes, '', { metadata: { name, ...metadata } });
  const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }];
  api.force(CORE_RESOURCES.kubeNodes, '', name, { status: { conditions } });
}
