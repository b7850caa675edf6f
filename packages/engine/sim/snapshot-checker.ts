/**
 * Snapshots never change: one that was answered every replica that serves has for ever, and holds with all below it what it held then.
 * A snapshot that is marked as removed may lose what an unmap gives up.
 */
import { createHash } from 'node:crypto';
import { snapshotNameOf, VOLUME_HEAD } from '../src/client/disk-names.ts';
import { exportSnapshot } from '../src/sync/volume-export.ts';
import { SimFolder } from './sim-disk.ts';
import type { SimReplica } from './sim-node.ts';
import { ProcessClock, type SimTime } from './sim-time.ts';
import type { Random } from '../src/membership/random.ts';

/** A snapshot's name by the file of its layer; null: another file. */
export function snapshotOf(file: string): string | null {
  const name = snapshotNameOf(file);
  return name === VOLUME_HEAD ? null : name;
}

export class SnapshotChecker {
  readonly violations: string[] = [];
  private readonly time: SimTime;
  private readonly random: Random;
  private readonly contents = new Map<string, string>();
  private readonly removed = new Set<string>();

  constructor(time: SimTime, random: Random) {
    this.time = time;
    this.random = random;
  }

  /** It was answered: what this replica holds counts. A disk that cannot be read now tells nothing. */
  async taken(name: string, replica: SimReplica): Promise<void> {
    const content = await this.contentOf(name, replica).catch(() => null);
    if (content !== null && !this.contents.has(name)) this.contents.set(name, content);
  }

  /** From now on it may change. */
  willBeRemoved(name: string): void {
    this.removed.add(name);
  }

  mayChange(name: string): boolean {
    return this.removed.has(name);
  }

  /** Looks at all snapshots of a replica that serves. */
  async check(replica: SimReplica): Promise<void> {
    const files = replica.process?.server.io.open?.volume.layers.map(({ name }) => name) ?? [];
    const names = files.flatMap((file) => snapshotOf(file) ?? []).filter((name) => !this.removed.has(name));
    for (const answered of this.contents.keys()) {
      if (this.removed.has(answered) || names.includes(answered)) continue;
      this.violations.push(`snapshot ${answered} was answered, and ${replica.name} does not have it`);
    }
    for (const name of names) {
      const content = await this.contentOf(name, replica);
      const expected = this.contents.get(name) ?? content;
      this.contents.set(name, expected);
      if (content !== expected) this.violations.push(`snapshot ${name} of ${replica.name} has changed`);
    }
  }

  private async contentOf(name: string, { node, folderPath }: SimReplica): Promise<string> {
    const clock = new ProcessClock(this.time);
    const folder = new SimFolder(folderPath, node.disk.folder(folderPath), clock, this.random);
    const exported = await exportSnapshot(folder, name, null);
    const { source } = exported;
    const content = Buffer.alloc(source.sizeBytes);
    await source.read(content, 0, content.length, 0);
    await exported.close();
    return createHash('sha256').update(content).digest('hex');
  }
}
