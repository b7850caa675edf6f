/** One volume's engine: what its gRPC service and its process do with it, one method an operation. */
import type { SyncFileInfo } from '@longhorn/shared-types/generated/ptypes';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { CLOSE_TIMEOUT_MS, FRONTEND_RETRY_MS } from './control-limits.ts';
import { pauseFor } from './control-clock.ts';
import { DoubtSettling } from './doubt-settling.ts';
import { startExpansion } from './expand.ts';
import { FullDisks } from './full-disks.ts';
import { FrontendControl, type OpenFrontend } from './frontend-control.ts';
import { dropMember, removeReplica } from './member-removal.ts';
import { createReplica, listAsFailed, prepareRebuild, verifyRebuild } from './rebuild-join.ts';
import { closeReplica } from './replica-entry.ts';
import { MODE_ERR, MODE_RW, type Mode, type ReplicaEntry } from './replica-set.ts';
import { revertTo } from './revert.ts';
import { takeSnapshot, type Freeze } from './snapshot.ts';
import { FencedStart } from './start-fenced.ts';
import { startPlain } from './start-plain.ts';
import { setSnapshotMaxCount, setSnapshotMaxSize, setUnmapMark } from './volume-settings.ts';
import type { VolumeContext } from './volume-context.ts';

/** Freezes the file system on the volume's device; without one it only asks the host to write back. */
export type FreezeVolume = (context: VolumeContext, wanted: boolean) => Promise<() => Promise<void>>;

export class VolumeEngine {
  readonly context: VolumeContext;
  readonly frontend: FrontendControl;
  private readonly settling: DoubtSettling;
  private readonly fencedStart: FencedStart | null;
  private readonly freeze: FreezeVolume;

  constructor(context: VolumeContext, open: OpenFrontend, frontendName: string, freeze: FreezeVolume) {
    this.context = context;
    this.freeze = freeze;
    this.frontend = new FrontendControl(context, open, frontendName);
    this.settling = new DoubtSettling(context);
    this.fencedStart = context.keeper ? new FencedStart(context, context.keeper, this.settling) : null;
    const full = new FullDisks(context, this.settling);
    context.noSpace = () => full.refused();
    context.onChange(() => this.followIo());
  }

  /** VolumeStart. With an epoch it returns after one attempt; the engine goes on trying by itself. */
  async start(addresses: readonly string[], sizeBytes: number, currentSizeBytes: number): Promise<void> {
    const duplicate = addresses.find((address, index) => addresses.indexOf(address) !== index);
    if (duplicate !== undefined) throw new Error(`invalid ReplicaAddress: duplicate replica addresses ${duplicate}`);
    if (this.fencedStart) {
      const { state } = this.context.io;
      if (state === 'starting' || state === 'waiting') await this.fencedStart.tryWith(addresses);
      return;
    }
    await startPlain(this.context, addresses, sizeBytes, currentSizeBytes);
    if (this.context.replicas.size > 0) await this.frontend.up();
  }

  snapshot(name: string, labels: Readonly<Record<string, string>>, freezeFilesystem: boolean): Promise<string> {
    const { context } = this;
    const freeze: Freeze = () => this.freeze(context, freezeFilesystem);
    return context.operations.run(() =>
      takeSnapshot(context, this.settling, { name, labels, userCreated: true }, freeze),
    );
  }

  revert(name: string): Promise<void> {
    const { context } = this;
    return context.operations.run(() => revertTo(context, this.settling, name, this.frontend.isUp()));
  }

  expand(sizeBytes: number): void {
    startExpansion(this.context, this.settling, sizeBytes, (size) => this.frontend.expand(size));
  }

  createReplica(address: string, snapshotRequired: boolean, mode: Mode): Promise<ReplicaEntry> {
    const { context } = this;
    return context.operations.run(async () => {
      if (mode === MODE_ERR) return listAsFailed(context, address);
      if (mode === MODE_RW) throw new Error('a replica is added as WO and becomes RW by ReplicaVerifyRebuild');
      return createReplica(context, this.settling, address, snapshotRequired);
    });
  }

  prepareRebuild(address: string): Promise<SyncFileInfo[]> {
    return this.context.operations.run(() => prepareRebuild(this.context, address));
  }

  /** Not in the queue of operations: its comparison takes long, and snapshots wait for no rebuild. */
  verifyRebuild(address: string): Promise<ReplicaEntry> {
    return verifyRebuild(this.context, this.settling, address);
  }

  removeReplica(address: string): Promise<void> {
    return removeReplica(this.context, address, this.frontend.isUp());
  }

  /** ReplicaUpdate; an unknown address gives null. */
  async updateReplica(address: string, mode: Mode): Promise<ReplicaEntry | null> {
    const entry = this.context.replicas.get(address);
    if (!entry) return null;
    if (mode === 'WO') throw new Error('cannot set to mode WO');
    if (mode === MODE_ERR) await dropMember(this.context, entry, 'set to ERR by a request');
    else if (entry.stage === 'joining') await this.verifyRebuild(address);
    return entry;
  }

  setUnmapMark(enabled: boolean): Promise<void> {
    return this.context.operations.run(() => setUnmapMark(this.context, enabled));
  }

  setSnapshotMaxCount(count: number): Promise<void> {
    return this.context.operations.run(() => setSnapshotMaxCount(this.context, count));
  }

  setSnapshotMaxSize(sizeBytes: number): Promise<void> {
    return this.context.operations.run(() => setSnapshotMaxSize(this.context, sizeBytes));
  }

  /** The control plane's word on `membershipRequest`. */
  confirmMembership(epoch: number, count: number, confirmed: boolean, reason: string): void {
    this.context.keeper?.confirm({ epoch, count }, { confirmed, reason });
    this.context.memberEvents.wake();
  }

  /** Frontend down, everything flushed, replicas closed. The process and its service stay. */
  async shutdown(): Promise<void> {
    const { context } = this;
    await this.frontend.down();
    if (context.io.state === 'serving' && context.replicas.inStage('reading').length > 0) {
      await Promise.race([context.core.flushNow(), pauseFor(context.clock, CLOSE_TIMEOUT_MS, context.stopping.signal)]);
    }
    context.stopping.abort();
    context.memberEvents.wake();
    const open = context.replicas.inStage('reading', 'joining', 'opening');
    for (const entry of context.replicas.all()) {
      entry.stage = 'out';
      entry.reason = 'the volume was shut down';
    }
    context.core.close();
    await Promise.all(open.map((entry) => closeReplica(context, entry)));
    for (const entry of context.replicas.all()) context.replicas.remove(entry.address);
    context.changed();
  }

  /** The device comes up when the volume is served; a device in use also when it fails, to tell its users. */
  private followIo(): void {
    const { io, options } = this.context;
    if (this.context.stopping.signal.aborted) return;
    // A member came back that has missed how something was settled.
    if (io.state === 'serving' && this.context.core.doubtCount() > 0) this.settling.goOn();
    const isWanted = io.state === 'serving' || (io.state === 'failed' && options.deviceLive);
    if (!isWanted || !this.fencedStart || this.frontend.isUp() || this.isBringingUp) return;
    this.isBringingUp = true;
    this.frontend.up().then(
      () => {
        this.frontendError = '';
      },
      (error: unknown) => this.frontendFailed(errorText(error)),
    );
  }

  /** What is in the way may go: another holder of the device, a file where the node belongs. */
  private frontendFailed(reason: string): void {
    this.context.log.error('the frontend did not come up', { reason });
    this.frontendError = reason;
    this.context.changed();
    this.context.clock.after(FRONTEND_RETRY_MS, () => {
      this.isBringingUp = false;
      this.followIo();
    });
  }

  /** Brought up once by itself; after a shutdown of the frontend only on request. */
  private isBringingUp = false;
  frontendError = '';
}
