/** Volumes and nodes as the REST API shows them, with nulls where it has nulls. */

const IMAGE = 'longhornio/longhorn-engine:v1.10.1';
const GIB = 2 ** 30;
const CREATED = '2025-11-20T10:11:12Z';
const NODES = ['node-a', 'node-b', 'node-c'];

const condition = (type: string, status: string, message = '') => ({
  type,
  status,
  message,
  reason: '',
  lastProbeTime: '',
  lastTransitionTime: CREATED,
});

/** A node with one disk of 40 GiB. */
export function fakeNode(name: string) {
  return {
    id: name,
    type: 'node',
    name,
    links: {},
    actions: { diskUpdate: `http://10.0.0.1:9500/v1/nodes/${name}?action=diskUpdate` },
    address: '10.0.0.1',
    allowScheduling: true,
    evictionRequested: false,
    tags: null,
    instanceManagerCPURequest: 0,
    region: '',
    zone: '',
    autoEvicting: false,
    conditions: { Ready: condition('Ready', 'True'), Schedulable: condition('Schedulable', 'True') },
    disks: {
      'default-disk': {
        path: '/var/lib/longhorn/',
        diskType: 'filesystem',
        diskDriver: '',
        allowScheduling: true,
        evictionRequested: false,
        storageReserved: 4 * GIB,
        tags: null,
        conditions: { Ready: condition('Ready', 'True'), Schedulable: condition('Schedulable', 'True') },
        storageAvailable: 30 * GIB,
        storageScheduled: 6 * GIB,
        storageMaximum: 40 * GIB,
        scheduledReplica: { 'data-r-1': 2 * GIB, 'data-r-2': 4 * GIB },
        scheduledBackingImage: null,
        diskUUID: 'd2c7c2c8-0000-4000-8000-000000000000',
      },
    },
  };
}

export interface FakeSnapshot {
  id: string;
  type: 'snapshot';
  name: string;
  parent: string;
  children: Record<string, boolean>;
  removed: boolean;
  usercreated: boolean;
  created: string;
  size: string;
  labels: null;
  links: object;
  actions: object;
}

function fakeSnapshot(name: string, parent: string): FakeSnapshot {
  return {
    id: name,
    type: 'snapshot',
    name,
    parent,
    children: {},
    removed: false,
    usercreated: name !== 'volume-head',
    created: CREATED,
    size: String(64 * 2 ** 20),
    labels: null,
    links: {},
    actions: {},
  };
}

const ALWAYS = ['attach', 'detach', 'snapshotCRCreate'];
const ATTACHED = ['snapshotList', 'snapshotCreate', 'snapshotDelete', 'snapshotPurge', 'snapshotRevert'];

/** One volume and what can happen to it. */
export class FakeVolume {
  readonly name: string;
  readonly sizeBytes: number;
  readonly replicaCount: number;
  node = '';
  isMaintenance = false;
  ticket = '';
  failedReplicas: Record<string, string> = {};
  rebuildProgress: Record<string, number> = {};
  snapshots: FakeSnapshot[] = [fakeSnapshot('volume-head', '')];

  constructor(name: string, sizeBytes: number, replicaCount: number) {
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.replicaCount = replicaCount;
  }

  attach(node: string, isMaintenance: boolean, ticket: string): void {
    this.node = node;
    this.isMaintenance = isMaintenance;
    this.ticket = ticket;
  }

  detach(): void {
    this.node = '';
    this.isMaintenance = false;
    this.failedReplicas = {};
    this.rebuildProgress = {};
  }

  takeSnapshot(name: string): FakeSnapshot {
    const head = this.snapshots.find((one) => one.name === 'volume-head');
    if (head === undefined) throw new Error('no head');
    const taken = fakeSnapshot(name, head.parent);
    taken.children = { 'volume-head': true };
    head.parent = name;
    this.snapshots.push(taken);
    return taken;
  }

  markSnapshotRemoved(name: string): void {
    for (const snapshot of this.snapshots) if (snapshot.name === name) snapshot.removed = true;
  }

  purge(): void {
    for (const gone of this.snapshots.filter(({ removed }) => removed)) {
      for (const snapshot of this.snapshots) if (snapshot.parent === gone.name) snapshot.parent = gone.parent;
    }
    this.snapshots = this.snapshots.filter(({ removed }) => !removed);
  }

  revert(name: string): void {
    for (const snapshot of this.snapshots) if (snapshot.name === 'volume-head') snapshot.parent = name;
  }

  #replicas() {
    return Array.from({ length: this.replicaCount }, (_, index) => {
      const name = `${this.name}-r-${index + 1}`;
      const isAttached = this.node !== '';
      const isRebuilding = name in this.rebuildProgress;
      const isFailed = name in this.failedReplicas && !isRebuilding;
      return {
        name,
        hostId: NODES[index] ?? '',
        address: '10.0.0.1',
        running: isAttached && !isFailed,
        image: IMAGE,
        currentImage: isAttached ? IMAGE : '',
        instanceManagerName: isAttached ? 'instance-manager-0f1e2d3c' : '',
        diskID: 'd2c7c2c8-0000-4000-8000-000000000000',
        diskPath: '/var/lib/longhorn/',
        dataPath: `/var/lib/longhorn/replicas/${name}-12345678`,
        mode: !isAttached || isFailed ? '' : isRebuilding ? 'WO' : 'RW',
        failedAt: isFailed ? CREATED : '',
        dataEngine: 'v1',
      };
    });
  }

  #blockedBy() {
    return Object.entries(this.failedReplicas).map(([name, reason]) => ({
      kind: 'Replica',
      name,
      reason,
      since: CREATED,
      next: name in this.rebuildProgress ? 'healthy when its rebuild is done' : 'rebuilt as soon as its node is back',
    }));
  }

  #controllers() {
    if (this.node === '') return [];
    return [
      {
        name: `${this.name}-e-0`,
        hostId: this.node,
        address: '10.0.0.1',
        running: true,
        image: IMAGE,
        currentImage: IMAGE,
        instanceManagerName: 'instance-manager-0f1e2d3c',
        size: String(this.sizeBytes),
        actualSize: String(Math.round(this.sizeBytes / 8)),
        endpoint: this.isMaintenance ? '' : `/dev/longhorn/${this.name}`,
        ioState: 'serving',
        ioReason: '',
        ioSince: CREATED,
      },
    ];
  }

  /** As the API shows it. */
  toJson() {
    const isAttached = this.node !== '';
    const robustness = !isAttached ? 'unknown' : Object.keys(this.failedReplicas).length > 0 ? 'degraded' : 'healthy';
    const offered = isAttached ? [...ALWAYS, ...ATTACHED] : ALWAYS;
    const url = `http://10.0.0.1:9500/v1/volumes/${this.name}`;
    return {
      id: this.name,
      type: 'volume',
      name: this.name,
      links: { self: url },
      actions: Object.fromEntries(offered.map((action) => [action, `${url}?action=${action}`])),
      created: '2025-11-20 10:11:12 +0000 UTC',
      size: String(this.sizeBytes),
      numberOfReplicas: this.replicaCount,
      state: isAttached ? 'attached' : 'detached',
      robustness,
      ready: true,
      frontend: 'blockdev',
      disableFrontend: this.isMaintenance,
      image: IMAGE,
      currentImage: isAttached ? IMAGE : '',
      dataEngine: 'v1',
      dataLocality: 'disabled',
      accessMode: 'rwo',
      conditions: { Scheduled: condition('Scheduled', 'True') },
      blockedBy: this.#blockedBy(),
      replicas: this.#replicas(),
      controllers: this.#controllers(),
      rebuildStatus: Object.entries(this.rebuildProgress).map(([replica, progress]) => ({
        replica,
        fromReplica: `${this.name}-r-1`,
        error: '',
        isRebuilding: true,
        progress,
        state: 'in_progress',
        actions: null,
        links: null,
      })),
      purgeStatus: null,
      restoreStatus: [],
      backupStatus: [],
      recurringJobSelector: null,
      diskSelector: null,
      kubernetesStatus: { pvName: '', pvcName: '', namespace: '', workloadsStatus: null },
      volumeAttachment: {
        actions: null,
        links: null,
        volume: this.name,
        attachments: isAttached
          ? {
              [this.ticket]: {
                attachmentID: this.ticket,
                attachmentType: 'longhorn-api',
                conditions: null,
                nodeID: this.node,
                parameters: { disableFrontend: String(this.isMaintenance) },
                satisfied: true,
              },
            }
          : {},
      },
    };
  }
}

export const fakeVolume = (name: string, sizeBytes: number, replicaCount: number): FakeVolume =>
  new FakeVolume(name, sizeBytes, replicaCount);
