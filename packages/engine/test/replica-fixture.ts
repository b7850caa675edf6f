/** A replica on a real folder for tests: control plane and data plane without sockets. */
import { createHash } from 'node:crypto';
import type { Folder } from '../src/io/disk.ts';
import { openNodeFolder } from '../src/io/node/node-folder.ts';
import type { ReplicaClock } from '../src/io/replica-clock.ts';
import { ReplicaIo } from '../src/replica/replica-io.ts';
import { ReplicaServer, type ReplicaServerOptions } from '../src/replica/replica-server.ts';
import type { Volume } from '../src/replica/volume.ts';

/** A clock that stands still; timers fire only when a test runs them. */
export class TestClock implements ReplicaClock {
  time = new Date('2026-02-03T04:05:06Z');
  /** with when they are due, in ms since the clock was made */
  readonly timers = new Map<() => void, number>();
  private ms = 0;

  now(): Date {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer = (): void => run();
    this.timers.set(timer, this.ms + ms);
    return () => this.timers.delete(timer);
  }

  /** Runs the timers that are due by then; those that they set wait for the next time. */
  advance(ms: number): void {
    this.ms += ms;
    for (const [run, dueMs] of this.timers) if (dueMs <= this.ms && this.timers.delete(run)) run();
  }

  /** Runs all timers that are set now. */
  fire(): void {
    const due = [...this.timers.keys()];
    this.timers.clear();
    for (const run of due) run();
  }
}

export interface TestReplica {
  readonly server: ReplicaServer;
  readonly io: ReplicaIo;
  readonly clock: TestClock;
  readonly notes: string[];
}

/** Starts a replica on a folder; `overrides` for what a test is about. */
export async function startTestReplica(
  where: string | Folder,
  overrides: Partial<ReplicaServerOptions> = {},
): Promise<TestReplica> {
  const folder = typeof where === 'string' ? await openNodeFolder(where) : where;
  const clock = new TestClock();
  const io = new ReplicaIo(clock);
  const notes: string[] = [];
  const server = await ReplicaServer.start({
    folder,
    io,
    clock,
    bootId: 'boot-1',
    backingFilePath: '',
    openBacking: null,
    hasRevisionCounter: false,
    snapshotMaxCount: 250,
    snapshotMaxSizeBytes: 0,
    freeBytes: () => Promise.resolve(null),
    isUnmapMarking: false,
    holder: 'replica r',
    fence: () => undefined,
    failureNote: { isThere: () => false, write: () => undefined, remove: () => undefined },
    onFault: () => undefined,
    log: (text) => notes.push(text),
    ...overrides,
  });
  return { server, io, clock, notes };
}

/** The opened volume of a test replica. */
export function volumeOf(replica: TestReplica): Volume {
  const { open } = replica.io;
  if (open === null) throw new Error('the test replica is not open');
  return open.volume;
}

/** All bytes of the opened volume. */
export async function readAll(replica: TestReplica): Promise<Buffer> {
  const volume = volumeOf(replica);
  const content = Buffer.alloc(volume.sizeBytes);
  await volume.read(content, 0, volume.sizeBytes, 0);
  return content;
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
