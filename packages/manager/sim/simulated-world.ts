/**
 * Engines, replicas and instance managers of a few nodes, as far as the controllers can tell them from real ones. An
 * engine keeps the fencing rules in a simplified form: it starts with more than half of the newest record (exactly half
 * with the control plane's word) and goes on with the members that answer. Nothing here takes time but rebuilds.
 */
import type { EngineSnapshotDiskInfo } from '@longhorn/shared-types/generated/imrpc';
import type { Clock } from '../src/clock.ts';
import type {
  EngineCalls,
  EngineTarget,
  EngineVolume,
  InstanceManagerCalls,
  InstanceResponse,
  InstanceSpecInput,
  MembershipRecord,
} from '../src/instance-client/instance-managers.ts';

type Empty = Record<string, never>;

interface Folder {
  epoch: number;
  record: MembershipRecord | null;
  /** Number of the last write that it holds. */
  data: number;
}

interface Process {
  name: string;
  type: 'engine' | 'replica';
  node: string;
  ip: string;
  port: number;
  uuid: string;
  state: 'running' | 'error';
  args: string[];
  engine: SimulatedEngine | null;
}

interface SimulatedEngine {
  epoch: number;
  known: MembershipRecord | null;
  addresses: string[];
  modes: Map<string, 'RW' | 'WO' | 'ERR'>;
  record: MembershipRecord | null;
  request: MembershipRecord | null;
  ioState: 'starting' | 'waiting' | 'serving' | 'held' | 'failed';
  since: string;
  count: number;
  seen: number;
  watchers: Set<() => void>;
}

const MODE = { WO: 0, RW: 1, ERR: 2 } as const;

function recordOf(epoch: number, count: number, members: readonly string[]): MembershipRecord {
  return { epoch, count, members: [...members].toSorted(), size: 0, chain: [], bases: [], decided: false };
}

function newer(a: MembershipRecord | null, b: MembershipRecord | null): MembershipRecord | null {
  if (a === null || b === null) return a ?? b;
  return a.epoch - b.epoch || a.count - b.count ? ((a.epoch - b.epoch || a.count - b.count) > 0 ? a : b) : a;
}

/** A queue of messages that a stream hands out until it ends. */
class Stream<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  push(message: T): void {
    this.#waiting.push(message);
    this.#wake?.();
  }

  cancel(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}

export class SimulatedWorld {
  readonly clock: Clock;
  readonly folders = new Map<string, Folder>();
  readonly processes = new Map<string, Process>();
  /** Nodes without power. */
  readonly dark = new Set<string>();
  /** How often a node has lost its power. */
  readonly boots = new Map<string, number>();
  /** Block devices by engine: what holds one ends with its instance manager. */
  readonly devices = new Map<string, { ip: string; minor: number }>();
  #minors = 0;
  /** Instance managers by IP. */
  readonly managers = new Map<string, { node: string; streams: Set<Stream<Empty>>; tellsBegin: boolean }>();
  #ports = 10_000;
  #uuids = 0;
  writes = 0;
  /** Number of the last write that was acknowledged. */
  acknowledged = 0;
  readonly violations: string[] = [];
  /** Those that all engines list. */
  readonly snapshots = new Set<string>();
  /** This many calls that add a replica get no answer: it stays WO, as if its host lost power in the middle. */
  silentAdds = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  startManager(node: string, ip: string): void {
    // Ours tell that a watch has begun, upstream's do not.
    this.managers.set(ip, { node, streams: new Set(), tellsBegin: node !== 'node-2' });
  }

  /** The instance manager's container is gone, its processes with it. */
  endManager(ip: string): void {
    const manager = this.managers.get(ip);
    if (manager === undefined) return;
    this.managers.delete(ip);
    for (const stream of manager.streams) stream.cancel();
    for (const process of [...this.processes.values()].filter((other) => other.ip === ip)) {
      this.processes.delete(process.name);
      for (const watcher of process.engine?.watchers ?? []) watcher();
    }
    this.settle();
  }

  kill(name: string): void {
    const process = this.processes.get(name);
    if (process === undefined) return;
    process.state = 'error';
    for (const watcher of process.engine?.watchers ?? []) watcher();
    process.engine?.watchers.clear();
    this.#changed(process.ip);
    this.settle();
  }

  /** One write through every serving engine, acknowledged if all members have it. */
  write(): void {
    for (const process of this.processes.values()) {
      const { engine } = process;
      if (engine === null || process.state !== 'running' || engine.ioState !== 'serving') continue;
      this.writes += 1;
      const members = [...engine.modes]
        .filter(([, mode]) => mode === 'RW')
        .map(([address]) => this.#replicaAt(address));
      if (members.length === 0 || members.includes(null)) continue;
      const folders = members.map((name) => this.folders.get(name ?? ''));
      if (folders.some((folder) => folder === undefined || folder.epoch !== engine.epoch)) continue;
      for (const folder of folders)
        if (folder !== undefined) {
          if (folder.data < this.acknowledged)
            this.violations.push(`an engine of epoch ${engine.epoch} serves old data`);
          folder.data = this.writes;
        }
      this.acknowledged = this.writes;
    }
  }

  /** Data of a replica is deleted: somebody must still hold every acknowledged write. */
  removeFolder(replica: string, volumeIsDeleted: boolean): void {
    this.folders.delete(replica);
    if (volumeIsDeleted || this.acknowledged === 0) return;
    if (![...this.folders.values()].some((folder) => folder.data >= this.acknowledged))
      this.violations.push(`the last good replica was deleted: ${replica}`);
  }

  /** Engines notice what happened to their replicas. */
  settle(): void {
    for (const process of this.processes.values())
      if (process.engine !== null && process.state === 'running') this.#step(process);
  }

  #replicaAt(address: string): string | null {
    const bare = address.replace('tcp://', '');
    for (const process of this.processes.values()) {
      if (process.type !== 'replica' || process.state !== 'running' || this.dark.has(process.node)) continue;
      if (`${process.ip}:${process.port}` === bare) return process.name;
    }
    return null;
  }

  #step(process: Process): void {
    const { engine } = process;
    if (engine === null) return;
    if (engine.ioState === 'starting' || engine.ioState === 'waiting') this.#tryStart(engine);
    else if (engine.ioState === 'serving' || engine.ioState === 'held') this.#checkMembers(engine);
    this.#tell(engine);
  }

  #tryStart(engine: SimulatedEngine): void {
    const seen: { address: string; name: string; folder: Folder }[] = [];
    for (const address of engine.addresses) {
      const name = this.#replicaAt(address);
      const folder = name === null ? undefined : this.folders.get(name);
      if (name === null || folder === undefined) continue;
      if (folder.epoch > engine.epoch) {
        engine.seen = Math.max(engine.seen, folder.epoch);
        continue;
      }
      folder.epoch = engine.epoch;
      seen.push({ address, name, folder });
    }
    const top = seen.reduce<MembershipRecord | null>((best, { folder }) => newer(best, folder.record), null);
    const decided =
      engine.known !== null &&
      (engine.known.decided || engine.known.epoch === 0) &&
      newer(engine.known, top) === engine.known;
    const base = decided ? engine.known : top;
    const wait = (): void => this.#setState(engine, 'waiting');
    if (base === null) return wait();
    if (
      !decided &&
      engine.known !== null &&
      newer(engine.known, top) === engine.known &&
      newer(top, engine.known) !== top
    ) {
      if (!seen.some(({ name }) => engine.known?.members.includes(name))) return wait();
    }
    const have = seen.filter(({ name, folder }) => {
      if (!base.members.includes(name)) return false;
      if (decided) return newer(folder.record, top) === folder.record || top === null;
      return folder.record !== null && folder.record.epoch === base.epoch && folder.record.count === base.count;
    });
    if (2 * have.length < base.members.length || have.length === 0) return wait();
    engine.count += 1;
    const next = recordOf(
      engine.epoch,
      engine.count,
      have.map(({ name }) => name),
    );
    for (const { address } of seen)
      engine.modes.set(address, have.some((other) => other.address === address) ? 'RW' : 'ERR');
    for (const address of engine.addresses) if (!engine.modes.has(address)) engine.modes.set(address, 'ERR');
    this.#propose(engine, next, 2 * have.length === base.members.length);
  }

  #checkMembers(engine: SimulatedEngine): void {
    const gone: string[] = [];
    for (const [address, mode] of engine.modes) {
      if (mode === 'ERR') continue;
      const name = this.#replicaAt(address);
      const fenced = name !== null && (this.folders.get(name)?.epoch ?? 0) > engine.epoch;
      if (fenced) engine.seen = Math.max(engine.seen, this.folders.get(name ?? '')?.epoch ?? 0);
      if (name === null || fenced) gone.push(address);
    }
    if (gone.length === 0) return;
    for (const address of gone) engine.modes.set(address, 'ERR');
    this.#proposeMembers(engine);
  }

  #proposeMembers(engine: SimulatedEngine): void {
    const members = [...engine.modes]
      .filter(([, mode]) => mode === 'RW')
      .flatMap(([address]) => this.#replicaAt(address) ?? []);
    if (members.length === 0) return this.#setState(engine, 'held');
    if (engine.record !== null && members.toSorted().join() === engine.record.members.join()) return;
    engine.count += 1;
    const next = recordOf(engine.epoch, engine.count, members);
    const kept = engine.record?.members.filter((name) => members.includes(name)).length ?? 0;
    this.#propose(engine, next, 2 * kept <= (engine.record?.members.length ?? 0));
  }

  #propose(engine: SimulatedEngine, next: MembershipRecord, asks: boolean): void {
    if (asks) {
      engine.request = next;
      if (engine.ioState !== 'starting' && engine.ioState !== 'waiting') this.#setState(engine, 'held');
      return;
    }
    this.#activate(engine, next);
  }

  #activate(engine: SimulatedEngine, next: MembershipRecord): void {
    for (const name of next.members) {
      const folder = this.folders.get(name);
      if (folder !== undefined) folder.record = next;
    }
    engine.record = next;
    engine.request = null;
    this.#setState(engine, 'serving');
  }

  /** The device of the volume whose engine serves on the node. */
  deviceOn(node: string): number | null {
    const process = [...this.processes.values()].find(
      (other) => other.node === node && other.engine?.ioState === 'serving',
    );
    return process === undefined ? null : (this.devices.get(process.name)?.minor ?? null);
  }

  /** An engine that begins to serve takes over what the one before it left, if that is still held. */
  #openDevice(engine: SimulatedEngine): void {
    const process = [...this.processes.values()].find((other) => other.engine === engine);
    if (process === undefined || this.devices.get(process.name)?.ip === process.ip) return;
    this.#minors += 1;
    this.devices.set(process.name, { ip: process.ip, minor: this.#minors });
  }

  #setState(engine: SimulatedEngine, state: SimulatedEngine['ioState']): void {
    if (state === 'serving') this.#openDevice(engine);
    if (engine.ioState !== state) engine.since = new Date(this.clock.now()).toISOString();
    engine.ioState = state;
  }

  #tell(engine: SimulatedEngine): void {
    for (const watcher of engine.watchers) watcher();
  }

  #changed(ip: string): void {
    for (const stream of this.managers.get(ip)?.streams ?? []) stream.push({});
  }

  #engineAt(target: EngineTarget): Process {
    const process = this.processes.get(target.engineName);
    const alive = process?.state === 'running' && !this.dark.has(process.node);
    if (process === undefined || !alive || `${process.ip}:${process.port}` !== target.address)
      throw new Error('rpc error: code = Unavailable');
    return process;
  }

  #require(ip: string): void {
    const manager = this.managers.get(ip);
    if (manager === undefined || this.dark.has(manager.node)) throw new Error('rpc error: code = Unavailable');
  }

  #response(process: Process): InstanceResponse {
    return {
      spec: {
        backend_store_driver: 0,
        name: process.name,
        type: process.type,
        volume_name: '',
        port_count: 1,
        port_args: [],
        process_instance_spec: null,
        spdk_instance_spec: null,
        data_engine: 0,
        upgrade_required: false,
        initiator_address: '',
        target_address: '',
      },
      status: {
        state: process.state,
        error_msg: process.state === 'error' ? 'signal: killed' : '',
        port_start: process.port,
        port_end: process.port,
        conditions: {},
        target_port_start: 0,
        target_port_end: 0,
        standby_target_port_start: 0,
        standby_target_port_end: 0,
        ublk_id: 0,
        uuid: process.uuid,
      },
      deleted: false,
    };
  }

  #volumeOf(engine: SimulatedEngine, name: string): EngineVolume {
    const listed = engine.ioState === 'waiting' || engine.ioState === 'starting' ? [] : [...engine.modes];
    return {
      name,
      size: 1 << 30,
      replicaCount: listed.length,
      endpoint: engine.ioState === 'serving' ? '/dev/longhorn/vol' : '',
      frontend: 'tgt-blockdev',
      frontendState: 'up',
      isExpanding: false,
      last_expansion_error: '',
      last_expansion_failed_at: '',
      unmap_mark_snap_chain_removed: false,
      snapshot_max_count: 250,
      snapshot_max_size: 0,
      epoch: engine.epoch,
      engineName: name,
      membership: engine.record,
      membershipRequest: engine.request,
      ioState: engine.ioState,
      ioReason: engine.ioState === 'waiting' ? 'waits for replicas' : '',
      ioSince: engine.since,
      replicas: listed.map(([address, mode]) => ({
        address: { address, instanceName: '' },
        mode: MODE[mode],
        instanceName: this.#replicaAt(address) ?? '',
        reason: '',
      })),
      highestEpochSeen: engine.seen,
    };
  }

  #create(ip: string, input: InstanceSpecInput): void {
    const manager = this.managers.get(ip);
    if (manager === undefined || this.processes.has(input.name)) return;
    this.#ports += 1;
    this.#uuids += 1;
    const process: Process = {
      name: input.name,
      type: input.type,
      node: manager.node,
      ip,
      port: this.#ports,
      uuid: `uuid-${this.#uuids}`,
      state: 'running',
      args: input.args,
      engine: null,
    };
    if (input.type === 'replica') {
      if (!this.folders.has(input.name)) this.folders.set(input.name, { epoch: 0, record: null, data: 0 });
    } else process.engine = this.#newEngine(input.args);
    this.processes.set(input.name, process);
    this.#changed(ip);
    this.settle();
  }

  #newEngine(args: readonly string[]): SimulatedEngine {
    const valueOf = (flag: string): string => args[args.indexOf(flag) + 1] ?? '';
    const membership = args.includes('--membership') ? (JSON.parse(valueOf('--membership')) as MembershipRecord) : null;
    return {
      epoch: Number(valueOf('--epoch')),
      known: membership,
      addresses: args.flatMap((arg, index) => (args[index - 1] === '--replica' ? [arg] : [])),
      modes: new Map(),
      record: null,
      request: null,
      ioState: 'starting',
      since: new Date(this.clock.now()).toISOString(),
      count: 0,
      seen: 0,
      watchers: new Set(),
    };
  }

  #addReplica(process: Process, address: string): void {
    const { engine } = process;
    if (engine === null) return;
    if (engine.ioState === 'waiting' || engine.ioState === 'starting') {
      engine.addresses.push(address);
      this.#step(process);
      return;
    }
    const name = this.#replicaAt(address);
    const folder = name === null ? undefined : this.folders.get(name);
    const source = [...engine.modes]
      .filter(([, mode]) => mode === 'RW')
      .flatMap(([other]) => this.#replicaAt(other) ?? [])[0];
    if (folder === undefined || source === undefined) throw new Error('failed to find good replica to copy from');
    if (folder.epoch > engine.epoch) throw new Error('fenced');
    folder.epoch = engine.epoch;
    folder.data = this.folders.get(source)?.data ?? 0;
    engine.modes.set(address, 'RW');
    this.#proposeMembers(engine);
    this.#tell(engine);
  }

  #addSilently(process: Process, address: string, options: { signal?: AbortSignal } = {}): Promise<never> {
    this.silentAdds -= 1;
    process.engine?.modes.set(address, 'WO');
    this.#step(process);
    return new Promise((_resolve, reject) => {
      options.signal?.addEventListener('abort', () => reject(new Error('context canceled')));
    });
  }

  /** What the controllers call. */
  calls(): InstanceManagerCalls {
    return {
      version: (ip) =>
        attempt(() => {
          this.#require(ip);
          return {
            version: 'v1.10.1',
            gitCommit: '',
            buildDate: '',
            instanceManagerAPIVersion: 6,
            instanceManagerAPIMinVersion: 1,
            instanceManagerProxyAPIVersion: 5,
            instanceManagerProxyAPIMinVersion: 1,
          };
        }),
      list: (ip) =>
        attempt(() => {
          this.#require(ip);
          const own = [...this.processes.values()].filter((process) => process.ip === ip);
          return Object.fromEntries(own.map((process) => [process.name, this.#response(process)]));
        }),
      watch: (ip, signal) => {
        const stream = new Stream<Empty>();
        const manager = this.managers.get(ip);
        manager?.streams.add(stream);
        if (manager?.tellsBegin === true) stream.push({});
        if (!this.managers.has(ip)) stream.cancel();
        signal.addEventListener('abort', () => stream.cancel());
        return stream;
      },
      get: (ip, name) =>
        attempt(() => {
          this.#require(ip);
          const process = this.processes.get(name);
          return process === undefined || process.ip !== ip ? null : this.#response(process);
        }),
      create: (ip, input) =>
        attempt(() => {
          this.#require(ip);
          this.#create(ip, input);
        }),
      delete: (ip, name, _type, { uuid, keepDevice }) =>
        attempt(() => {
          this.#require(ip);
          const process = this.processes.get(name);
          if (process === undefined || process.ip !== ip || (uuid !== '' && process.uuid !== uuid)) return;
          this.processes.delete(name);
          if (!keepDevice) this.devices.delete(name);
          for (const watcher of process.engine?.watchers ?? []) watcher();
          this.#changed(ip);
          this.settle();
        }),
      watchVolume: (target, signal) => this.#watchVolume(target, signal),
      request: (target) => ({ proxy_engine_request: { engine_name: target.engineName } }),
      plainRequest: (target) => ({ engine_name: target.engineName }),
      proxy: (target) => this.#proxy(target),
    };
  }

  #watchVolume(target: EngineTarget, signal: AbortSignal): Stream<{ volume: EngineVolume | null }> {
    const stream = new Stream<{ volume: EngineVolume | null }>();
    const process = this.processes.get(target.engineName);
    const engine = process?.engine ?? null;
    if (process === undefined || engine === null || process.state !== 'running') {
      stream.cancel();
      return stream;
    }
    const tell = (): void => {
      if (this.processes.get(target.engineName) !== process || process.state !== 'running') stream.cancel();
      else stream.push({ volume: this.#volumeOf(engine, target.volumeName) });
    };
    engine.watchers.add(tell);
    signal.addEventListener('abort', () => {
      engine.watchers.delete(tell);
      stream.cancel();
    });
    tell();
    return stream;
  }

  #proxy(target: EngineTarget): EngineCalls {
    const nothing = (): Promise<Empty> =>
      attempt(() => {
        this.#engineAt(target);
        return {};
      });
    return {
      SnapshotList: () =>
        attempt(() => {
          this.#engineAt(target);
          const disk = (name: string): EngineSnapshotDiskInfo => ({
            name,
            parent: '',
            children: {},
            removed: false,
            user_created: name !== 'volume-head',
            created: '2026-01-01T00:00:00Z',
            size: '0',
            labels: {},
          });
          const names = ['volume-head', ...this.snapshots];
          return { disks: Object.fromEntries(names.map((name) => [name, disk(name)])) };
        }),
      SnapshotRemove: nothing,
      SnapshotPurge: nothing,
      SnapshotClone: nothing,
      SnapshotCloneStatus: () => Promise.resolve({ status: {} }),
      SnapshotPurgeStatus: () => Promise.resolve({ status: {} }),
      VolumeSnapshot: () => Promise.resolve({ snapshot: null }),
      VolumeExpand: nothing,
      VolumeUnmapMarkSnapChainRemovedSet: nothing,
      VolumeSnapshotMaxCountSet: nothing,
      VolumeSnapshotMaxSizeSet: nothing,
      ReplicaRebuildingStatus: () => Promise.resolve({ status: {} }),
      ReplicaAdd: (request, options) => {
        if (this.silentAdds > 0)
          return this.#addSilently(this.#engineAt(target), request.replica_address ?? '', options);
        return attempt(() => {
          this.#addReplica(this.#engineAt(target), request.replica_address ?? '');
          return {};
        });
      },
      ReplicaRemove: (request) =>
        attempt(() => {
          const process = this.#engineAt(target);
          const { engine } = process;
          if (engine === null) return {};
          const address = request.replica_address ?? '';
          const good = [...engine.modes].filter(([, mode]) => mode === 'RW').map(([other]) => other);
          if (good.length === 1 && good[0] === address) throw new Error('cannot remove last replica');
          engine.modes.delete(address);
          this.#proposeMembers(engine);
          this.#tell(engine);
          return {};
        }),
      MembershipConfirm: (request) =>
        attempt(() => {
          const { engine } = this.#engineAt(target);
          const asked = engine?.request ?? null;
          if (engine === null || asked === null || asked.count !== request.confirm?.count) return {};
          if (request.confirm?.confirmed === true) this.#activate(engine, asked);
          else this.#setState(engine, 'failed');
          this.#tell(engine);
          return {};
        }),
    };
  }
}

function attempt<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work());
  });
}
