/**
 * The sync agent of a replica: moves files between replicas, purges, clones, exports and hashes snapshots. It lives in
 * the replica's process (upstream's is a child process), so a purge and the I/O beside it know of each other.
 */
import { SyncAgentService, type SyncFileInfo } from '@longhorn/shared-types/generated/ptypes';
import { createClient } from '@longhorn/shared-types/grpc/client';
import type { Identity } from '@longhorn/shared-types/grpc/identity';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { Folder } from '../io/disk.ts';
import type { ReplicaClock } from '../io/replica-clock.ts';
import { FILE_TRIES_MAX, PURGE_REST_MS, REBUILD_LIMIT_MIN } from '../limits.ts';
import type { Rest } from '../replica/fold.ts';
import { purge } from '../replica/purge.ts';
import type { ReplicaServer } from '../replica/replica-server.ts';
import { META_SUFFIX, snapshotFile, snapshotNameProblem } from '../replica/snapshot-chain.ts';
import type { Layer } from '../replica/volume.ts';
import { confinedName } from './confined-name.ts';
import { idleJob, percentOf, runJob, type JobStatus } from './job-status.ts';
import { FULL_SPEED, RebuildControl } from './rebuild-control.ts';
import {
  startReceiver,
  type LaunchedReceiver,
  type Receiver,
  type ReceiverLaunch,
  type ReceiverWatch,
} from './receiver.ts';
import { sendFile, sendSource } from './sender.ts';
import { SnapshotClone } from './snapshot-clone.ts';
import { SnapshotHasher } from './snapshot-hash.ts';
import { LONG_CALL_MS, syncAgentAddress } from './sync-agent-address.ts';
import { exportSnapshot } from './volume-export.ts';

export interface SyncAgentOptions {
  readonly server: ReplicaServer;
  readonly folder: Folder;
  readonly clock: ReplicaClock;
  readonly identity: Identity;
  /** where receivers listen */
  readonly host: string;
  /** ports of receivers; 0 = any */
  readonly firstPort: number;
  readonly portCount: number;
  readonly hashLockFile: string;
  readonly openBacking: (() => Promise<Layer>) | null;
  readonly log: (text: string) => void;
}

export interface FilesSyncRequest {
  readonly fromAddress: string;
  readonly toHost: string;
  readonly files: readonly SyncFileInfo[];
  readonly isFast: boolean;
  readonly httpTimeoutSeconds: number;
  readonly callTimeoutSeconds: number;
}

interface RebuildStatus extends JobStatus {
  readonly fromAddress: string;
  /** of content, compared or written */
  bytesDone: number;
  readonly bytesTotal: number;
  bytesWritten: number;
}

const noRebuild = (): RebuildStatus => ({
  ...idleJob(),
  fromAddress: '',
  bytesDone: 0,
  bytesTotal: 0,
  bytesWritten: 0,
});

/** Nobody looks, and nothing is held back. */
const UNWATCHED: ReceiverWatch = { onBytes: () => undefined, onWritten: () => undefined, pace: FULL_SPEED };

export class SyncAgent {
  readonly hasher: SnapshotHasher;
  purgeStatus: JobStatus = idleJob();
  rebuildStatus: RebuildStatus = noRebuild();
  readonly rebuildControl: RebuildControl;
  readonly clone: SnapshotClone;
  private readonly options: SyncAgentOptions;
  private readonly receivers = new Set<Receiver>();
  private lastPort: number;

  constructor(options: SyncAgentOptions) {
    this.options = options;
    this.lastPort = options.firstPort - 1;
    this.rebuildControl = new RebuildControl(options.clock);
    this.hasher = new SnapshotHasher(options.folder, options.hashLockFile, options.clock);
    const { server, folder, clock, log } = options;
    const launch: ReceiverLaunch = (name, watch) => this.launchReceiver(name, watch);
    this.clone = new SnapshotClone({ server, folder, clock, log, launch });
  }

  /** Ends all receivers. */
  async stop(): Promise<void> {
    this.hasher.reset();
    this.rebuildControl.resume();
    this.rebuildControl.setLimit(0);
    for (const receiver of this.receivers) await receiver.stop();
  }

  async removeFile(name: string): Promise<void> {
    this.refuseLive('file_name', name);
    if (!(await this.options.folder.remove(name))) throw new Error(`remove ${name}: no such file or directory`);
  }

  async renameFile(from: string, to: string): Promise<void> {
    this.refuseLive('old_file_name', from);
    this.refuseLive('new_file_name', to);
    await this.options.folder.rename(from, to);
    await this.options.folder.sync();
  }

  /** A layer that reads are served from must not be changed, except while the replica is rebuilt. */
  private refuseLive(field: string, name: string): void {
    confinedName(field, name);
    const { open } = this.options.server.io;
    if (open === null || open.meta.isRebuilding || open.volume.numberOf(name) === 0) return;
    throw new Error(`${field} ${name}: is a layer of the open replica; close the replica first`);
  }

  /** Starts a receiver for one file; returns its port. */
  async launchReceiver(name: string, watch: ReceiverWatch = UNWATCHED): Promise<LaunchedReceiver> {
    this.refuseLive('to_file_name', name);
    const { folder, clock, host, firstPort, portCount, log } = this.options;
    const ports = { first: firstPort, count: portCount, last: this.lastPort };
    const started = await startReceiver({ folder, name, clock, log, ...watch }, host, ports);
    this.lastPort = started.port;
    this.receivers.add(started.receiver);
    void started.receiver.done.then(() => this.receivers.delete(started.receiver));
    return started;
  }

  async sendFile(name: string, host: string, port: number, isFast: boolean, timeoutSeconds: number): Promise<void> {
    confinedName('from_file_name', name);
    const { folder, clock } = this.options;
    await sendFile(folder, name, isFast, { host, port, requestTimeoutMs: timeoutSeconds * 1000, clock });
  }

  // -- rebuild

  async syncFiles(request: FilesSyncRequest): Promise<void> {
    if (this.purgeStatus.isRunning) throw new Error('replica is purging snapshots');
    if (this.rebuildStatus.isRunning) throw new Error('replica is already rebuilding');
    for (const file of request.files) {
      confinedName('from_file_name', file.from_file_name);
      confinedName('to_file_name', file.to_file_name);
    }
    const { fromAddress } = request;
    const bytesTotal = request.files.reduce((sum, file) => sum + file.actual_size, 0);
    const status: RebuildStatus = { ...noRebuild(), fromAddress, bytesTotal };
    this.rebuildStatus = status;
    // A meta makes its image part of a chain: it comes after all images.
    const images = request.files.filter((file) => !file.to_file_name.endsWith(META_SUFFIX));
    const metas = request.files.filter((file) => file.to_file_name.endsWith(META_SUFFIX));
    try {
      await runJob(status, async () => {
        for (const file of [...images, ...metas]) {
          const counts = file.actual_size > 0;
          await this.pullFile(request, file, (count) => {
            if (counts) status.bytesDone += count;
            status.progress = Math.min(percentOf(1 + status.bytesDone, 1 + bytesTotal), 99);
          });
        }
      });
    } finally {
      // It was about this rebuild.
      this.rebuildControl.resume();
    }
  }

  /** Holds the rebuild that runs until it is told to go on; a rebuild that is held is not a failed one, however long. */
  pauseRebuild(isPaused: boolean): void {
    if (!isPaused) {
      this.rebuildControl.resume();
      return;
    }
    if (!this.rebuildStatus.isRunning)
      throw new Error('no rebuild to pause: no files are being copied to this replica');
    this.rebuildControl.pause();
  }

  /** Of what rebuilds of this replica write, in bytes a second; 0 = no limit. Holds until another one is set or the process ends. */
  limitRebuild(bytesPerSecond: number): void {
    if (bytesPerSecond !== 0 && bytesPerSecond < REBUILD_LIMIT_MIN) {
      throw new Error(
        `bytes_per_second ${bytesPerSecond}: must be 0 (no limit) or at least ${REBUILD_LIMIT_MIN}, one MiB a second`,
      );
    }
    this.rebuildControl.setLimit(bytesPerSecond);
  }

  /** Fetches one file from the source; a broken transfer is tried again and goes on from what is there. */
  private async pullFile(
    request: FilesSyncRequest,
    file: SyncFileInfo,
    onBytes: (count: number) => void,
  ): Promise<void> {
    let fetched = 0;
    for (let tries = 1; ; tries++) {
      await this.rebuildControl.whenGoing();
      let counted = 0;
      try {
        await this.pullOnce(request, file, (count) => {
          counted += count;
          // What was counted in a try before is not counted again.
          if (counted > fetched) onBytes(counted - Math.max(fetched, counted - count));
        });
        return;
      } catch (error) {
        fetched = Math.max(fetched, counted);
        // A sender of another version does not wait for as long as a pause may last.
        if (this.rebuildControl.isPaused) tries--;
        else if (tries >= FILE_TRIES_MAX) throw error;
        this.options.log(`transfer of ${file.from_file_name} failed, is tried again: ${errorText(error)}`);
      }
    }
  }

  private async pullOnce(
    request: FilesSyncRequest,
    file: SyncFileInfo,
    onBytes: (count: number) => void,
  ): Promise<void> {
    const status = this.rebuildStatus;
    const onWritten = (count: number): void => {
      if (file.actual_size > 0) status.bytesWritten += count;
    };
    const watch = { onBytes, onWritten, pace: this.rebuildControl };
    const { receiver, port } = await this.launchReceiver(file.to_file_name, watch);
    const { volumeName = '' } = this.options.identity;
    const source = createClient(SyncAgentService, syncAgentAddress(request.fromAddress), {
      identity: { volumeName },
      timeoutMs: request.callTimeoutSeconds > 0 ? request.callTimeoutSeconds * 1000 : LONG_CALL_MS,
    });
    try {
      await source.FileSend({
        from_file_name: file.from_file_name,
        host: request.toHost,
        port,
        fast_sync: request.isFast,
        file_sync_http_client_timeout: request.httpTimeoutSeconds,
      });
    } catch (error) {
      await receiver.stop();
      throw error;
    } finally {
      source.close();
    }
    if (!(await receiver.done)) throw new Error(`the transfer of ${file.from_file_name} was not completed`);
  }

  // -- purge

  /** Starts a purge and returns at once. */
  startPurge(): void {
    if (this.purgeStatus.isRunning) throw new Error('replica is already purging snapshots');
    if (this.rebuildStatus.isRunning) throw new Error('replica is already rebuilding');
    const status = idleJob();
    this.purgeStatus = status;
    const onProgress = (percent: number): void => {
      status.progress = percent;
    };
    runJob(status, () => purge(this.options.server, onProgress, this.restForClients())).catch((error: unknown) =>
      this.options.log(`purge failed: ${errorText(error)}`),
    );
  }

  /** Waits a moment when clients have asked for something since the last time. */
  private restForClients(): Rest {
    const { server, clock } = this.options;
    let seen = 0;
    return () => {
      const { activity } = server.io;
      if (activity === seen) return Promise.resolve();
      seen = activity;
      return new Promise((resolve) => {
        clock.after(PURGE_REST_MS, resolve);
      });
    };
  }

  // -- clone and export

  /** Sends the merged content of a snapshot of this replica. */
  async exportVolume(
    snapshot: string,
    host: string,
    port: number,
    hasBacking: boolean,
    timeoutSeconds: number,
  ): Promise<void> {
    const problem = snapshotNameProblem(snapshot);
    if (problem !== null) throw new Error(problem);
    const { folder, openBacking, clock, server } = this.options;
    const release = await server.hold(snapshotFile(snapshot));
    try {
      const exported = await exportSnapshot(folder, snapshot, hasBacking ? openBacking : null);
      try {
        const to = { host, port, requestTimeoutMs: timeoutSeconds * 1000, clock };
        await sendSource(exported.source, true, to, null);
      } finally {
        await exported.close();
      }
    } finally {
      release();
    }
  }

  /** Forgets what finished jobs have left. */
  reset(): void {
    this.hasher.reset();
    if (!this.purgeStatus.isRunning) this.purgeStatus = idleJob();
    if (!this.rebuildStatus.isRunning) this.rebuildStatus = noRebuild();
    this.clone.reset();
  }
}
