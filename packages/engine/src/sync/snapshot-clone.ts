/**
 * Copies a snapshot of another volume into this replica, as one layer without a parent.
 *
 *     receive ──► compare ──► meta file ──► reload ──► revert        the head is empty above the copy
 *
 * The image has no meta file, and so is no part of any chain, until all of it is on stable storage and was compared with
 * the source once more. What broke off goes on from what is there: only windows that differ are sent again.
 *
 * Who reverts: this replica itself, as upstream's does, or (`engineReverts`) the engine, whose membership record tells
 * the chain: a chain that changed behind the engine's back would not fit the record at the next start. Then the clone
 * counts as complete from the moment that the copy is in the live chain.
 */
import { ReplicaService, SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { replaceFile, type Folder } from '../io/disk.ts';
import { rfc3339Seconds, type ReplicaClock } from '../io/replica-clock.ts';
import { FILE_TRIES_MAX } from '../limits.ts';
import type { ReplicaServer } from '../replica/replica-server.ts';
import { META_SUFFIX, childrenOf, snapshotFile, snapshotNameProblem } from '../replica/snapshot-chain.ts';
import { idleJob, percentOf, runJob, type JobStatus } from './job-status.ts';
import { FULL_SPEED } from './rebuild-control.ts';
import type { Receiver, ReceiverLaunch } from './receiver.ts';
import { LONG_CALL_MS, syncAgentAddress } from './sync-agent-address.ts';

export interface CloneRequest {
  readonly fromAddress: string;
  readonly fromVolume: string;
  readonly toHost: string;
  readonly snapshot: string;
  readonly httpTimeoutSeconds: number;
  readonly engineReverts: boolean;
}

export interface CloneOptions {
  readonly server: ReplicaServer;
  readonly folder: Folder;
  readonly clock: ReplicaClock;
  readonly log: (text: string) => void;
  readonly launch: ReceiverLaunch;
}

export interface CloneReport extends JobStatus {
  fromAddress: string;
  snapshot: string;
}

const idle = (): CloneReport => ({ ...idleJob(), fromAddress: '', snapshot: '' });

export class SnapshotClone {
  private readonly options: CloneOptions;
  private status = idle();
  private running: { readonly key: string; readonly work: Promise<void> } | null = null;
  /** image that the engine is to revert to and was not seen to have reverted to; "" = none */
  private received = '';

  constructor(options: CloneOptions) {
    this.options = options;
  }

  /** A copy that the engine has not reverted to yet is not complete. */
  report(): CloneReport {
    if (this.received === '' || this.status.state !== 'complete') return this.status;
    if (!this.isLive(this.received)) return { ...this.status, isRunning: true, state: 'in_progress', progress: 99 };
    // Later snapshots and purges do not make it incomplete again.
    this.received = '';
    return this.status;
  }

  /** Forgets a clone that has ended. */
  reset(): void {
    if (this.running === null) this.status = idle();
  }

  /** Ends when the copy is there; asked for the same again while it runs, the caller waits for the one that runs. */
  run(request: CloneRequest): Promise<void> {
    const problem = snapshotNameProblem(request.snapshot);
    if (problem !== null) return Promise.reject(new Error(problem));
    const key = JSON.stringify([request.fromVolume, request.snapshot, request.engineReverts]);
    if (this.running !== null) {
      if (this.running.key === key) return this.running.work;
      return Promise.reject(new Error('replica is already cloning a snapshot'));
    }
    this.status = { ...idle(), fromAddress: request.fromAddress, snapshot: request.snapshot };
    this.received = '';
    const { status } = this;
    const work = runJob(status, () => this.clone(request, status)).finally(() => {
      this.running = null;
    });
    this.running = { key, work };
    return work;
  }

  private isLive(image: string): boolean {
    const { open } = this.options.server.io;
    return open !== null && open.volume.numberOf(image) > 0;
  }

  private async clone(request: CloneRequest, status: CloneReport): Promise<void> {
    const { server, folder, clock } = this.options;
    const image = snapshotFile(request.snapshot);
    if (request.engineReverts && this.isLive(image)) return;
    this.checkFree(request.snapshot);
    await this.receive(request, image, status);
    await this.checkSize(image);
    await replaceFile(folder, `${image}${META_SUFFIX}`, '{"Parent":""}\n');
    await folder.sync();
    await server.reload();
    if (request.engineReverts) this.received = image;
    else await server.revert(image, rfc3339Seconds(clock.now()));
  }

  /** A snapshot of this volume that has the name is not written over; what an earlier try left has no time and no children. */
  private checkFree(snapshot: string): void {
    const { open } = this.options.server.io;
    const image = snapshotFile(snapshot);
    const disk = open?.disks.get(image);
    if (open === null || disk === undefined) return;
    const isCopy = disk.created === '' && disk.parent === '' && childrenOf(open.disks, image).length === 0;
    if (!isCopy) throw new Error(`cannot clone snapshot ${snapshot}: this volume has a snapshot of the same name`);
  }

  private async checkSize(image: string): Promise<void> {
    const { server, folder } = this.options;
    const found = await folder.stat(image);
    const ownBytes = server.currentMeta?.sizeBytes ?? 0;
    if (found === null) throw new Error(`${image} is gone after its transfer`);
    if (found.sizeBytes <= ownBytes) return;
    await folder.remove(image);
    throw new Error(`the snapshot has ${found.sizeBytes} bytes, more than this volume with ${ownBytes}`);
  }

  /** Receives, and compares until nothing differs. A sender that does not compare in windows is taken at its word. */
  private async receive(request: CloneRequest, image: string, status: CloneReport): Promise<void> {
    const sizeBytes = await this.sourceSize(request);
    let processed = 0;
    const onBytes = (count: number): void => {
      processed += count;
      // What is sent is compared afterwards.
      status.progress = Math.min(percentOf(processed, sizeBytes * 2), 99);
    };
    await this.transfer(request, image, onBytes);
    for (let tries = 1; ; tries++) {
      const changed = await this.transfer(request, image, onBytes);
      if (changed === 0) return;
      if (tries >= FILE_TRIES_MAX)
        throw new Error(`${changed} windows of ${image} differ from the source after a copy`);
      this.options.log(`${changed} windows of ${image} differed from the source and were sent again`);
    }
  }

  /** One pass over the snapshot; returns how many windows of what was there before differed. */
  private async transfer(request: CloneRequest, image: string, onBytes: (count: number) => void): Promise<number> {
    const { receiver, port } = await this.options.launch(image, {
      onBytes,
      onWritten: () => undefined,
      pace: FULL_SPEED,
    });
    try {
      await this.exportTo(request, port, receiver);
    } finally {
      await receiver.stop();
    }
    return receiver.windowsChanged;
  }

  private async sourceSize(request: CloneRequest): Promise<number> {
    const client = createClient(ReplicaService, request.fromAddress, { identity: { volumeName: request.fromVolume } });
    try {
      const { replica } = await client.ReplicaGet({});
      const disk = replica?.disks[snapshotFile(request.snapshot)];
      const where = `snapshot ${request.snapshot} in the source replica ${request.fromAddress}`;
      if (disk === undefined) throw new Error(`cannot find ${where}`);
      if (disk.removed) throw new Error(`cannot clone ${where}: it is marked as removed`);
      return Number(replica?.size ?? '0');
    } finally {
      client.close();
    }
  }

  private async exportTo(request: CloneRequest, port: number, receiver: Receiver): Promise<void> {
    const source = createClient(SyncAgentService, syncAgentAddress(request.fromAddress), {
      identity: { volumeName: request.fromVolume },
      timeoutMs: LONG_CALL_MS,
    });
    try {
      const exported = source.VolumeExport({
        snapshot_file_name: request.snapshot,
        host: request.toHost,
        port,
        export_backing_image_if_exist: false,
        file_sync_http_client_timeout: request.httpTimeoutSeconds,
      });
      // A source that is gone without a word says nothing here either; the receiver gives up waiting for it.
      const ended = receiver.done.then((isComplete) => {
        if (!isComplete) throw new Error(`the transfer of snapshot ${request.snapshot} was not completed`);
        return exported;
      });
      await Promise.race([exported.then(() => ended), ended]);
    } finally {
      source.close();
    }
  }
}
