/** One engine process: the real control side and core, in virtual time, on a node. */
import { allocationOf } from '../src/controller/allocation.ts';
import { createVolumeCore } from '../src/controller/create-core.ts';
import { VolumeContext } from '../src/controller/volume-context.ts';
import { VolumeEngine } from '../src/controller/volume-engine.ts';
import type { MembershipRecord } from '../src/membership/record.ts';
import type { SimCluster, Caller } from './sim-cluster.ts';
import type { SimDevice } from './sim-device.ts';
import type { SimLink } from './sim-link.ts';
import type { SimNode } from './sim-node.ts';
import { ProcessClock } from './sim-time.ts';

export interface SimEngineOptions {
  readonly cluster: SimCluster;
  readonly node: SimNode;
  readonly epoch: number;
  readonly known: MembershipRecord;
  readonly sizeBytes: number;
  readonly device: SimDevice;
  readonly ioHoldTimeoutMs: number;
  readonly log: (text: string) => void;
  readonly violation: (text: string) => void;
}

export class SimEngine implements Caller {
  readonly clock: ProcessClock;
  readonly node: SimNode;
  readonly epoch: number;
  readonly cutFrom = new Set<SimNode>();
  readonly muteTo = new Set<SimNode>();
  readonly deafTo = new Set<SimNode>();
  readonly slowTo = new Map<SimNode, number>();
  readonly links = new Set<SimLink>();
  readonly engine: VolumeEngine;
  readonly context: VolumeContext;
  private readonly device: SimDevice;
  private isFrontendOpen = false;
  private ids = 0;

  constructor(options: SimEngineOptions) {
    const { cluster, node, epoch, device, log, violation } = options;
    this.clock = new ProcessClock(cluster.time, node.wall);
    this.node = node;
    this.epoch = epoch;
    this.device = device;
    const tell = (level: string) => (message: string, fields?: object) =>
      log(`engine ${epoch} ${level}: ${message} ${fields ? JSON.stringify(fields) : ''}`);
    this.context = new VolumeContext(
      {
        options: {
          volumeName: 'v',
          engineName: `e${epoch}`,
          epoch,
          known: options.known,
          sizeBytes: options.sizeBytes,
          currentSizeBytes: options.sizeBytes,
          replicaTimeoutMs: 8000,
          ioHoldTimeoutMs: options.ioHoldTimeoutMs,
          revisionCounterDisabled: true,
          salvageRequested: false,
          unmapMarkSnapChainRemoved: false,
          snapshotMaxCount: 250,
          snapshotMaxSizeBytes: 0,
          fileSyncHttpTimeoutSeconds: 5,
          upgrade: false,
          deviceLive: device.isLive,
        },
        backends: cluster.backends(this),
        clock: this.clock,
        log: { info: tell('info'), warn: tell('warn'), error: tell('error') },
        randomId: () => `s${epoch}-${++this.ids}`,
        crash: (error) =>
          violation(
            `engine ${epoch} broke an invariant: ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
          ),
      },
      (context) => createVolumeCore(context, this.clock),
    );
    this.engine = new VolumeEngine(
      this.context,
      () => {
        this.isFrontendOpen = true;
        device.attach(this.context.core, allocationOf(this.context), this.clock);
        return Promise.resolve({
          name: 'sim',
          endpoint: () => '/dev/sim',
          expand: () => Promise.resolve(),
          close: () => {
            this.isFrontendOpen = false;
            if (device.isServedBy(this.context.core)) device.lose();
            return Promise.resolve();
          },
        });
      },
      'sim',
      () => Promise.resolve(() => Promise.resolve()),
    );
  }

  get isAlive(): boolean {
    return this.clock.isAlive;
  }

  get isServing(): boolean {
    return this.isAlive && this.context.io.state === 'serving' && this.isFrontendOpen;
  }

  /** kill -9: the device stays. */
  kill(isPowerCut = false): void {
    if (!this.isAlive) return;
    this.clock.kill();
    for (const link of this.links) link.abandon(isPowerCut);
    if (this.device.isServedBy(this.context.core)) this.device.detach();
    this.isFrontendOpen = false;
  }

  /** The network is whole again. */
  reconnect(): void {
    this.cutFrom.clear();
    this.muteTo.clear();
    this.deafTo.clear();
    this.slowTo.clear();
  }
}
