/**
 * What a block device may answer, block by block: the contract that the workload checks.
 *
 * Each block carries its number and a version. Known per block: the version that the last flush covered,
 * and the versions written since in order. A read must give a version that is at least the flushed one
 * and was written; once it gave one, the same until the next write. After a loss of cached writes
 * (`lostCache`) unflushed versions may be gone, flushed ones may not. What a read showed counts as the
 * newest: a flush after it rules out whatever else was under way before it, for good.
 */
import { createHash } from 'node:crypto';

export const BLOCK_BYTES = 4096;

/** The system did what it must never do: it lost data, gave a wrong answer, or its copies differ. */
export class ContractViolation extends Error {}

/** Content of version `version` of block `block`; version 0 is all zeroes. */
export function blockContent(seed: number, block: number, version: number): Buffer {
  if (version === 0) return Buffer.alloc(BLOCK_BYTES);
  const content = Buffer.alloc(BLOCK_BYTES);
  content.writeUInt32LE(block, 0);
  content.writeUInt32LE(version, 4);
  content.writeUInt32LE(seed >>> 0, 8);
  const digest = createHash('sha256').update(content.subarray(0, 12)).digest();
  for (let at = 32; at < BLOCK_BYTES; at += 32) digest.copy(content, at);
  return content;
}

const ZEROES = Buffer.alloc(BLOCK_BYTES);

/** Version that a block's content stands for. Throws when it is none of ours or torn. */
export function versionOf(seed: number, block: number, content: Buffer): number {
  if (content.equals(ZEROES)) return 0;
  const version = content.readUInt32LE(4);
  if (!content.equals(blockContent(seed, block, version))) {
    throw new ContractViolation(
      `block ${block} holds garbage: says block ${content.readUInt32LE(0)} version ${version}, seed ${content.readUInt32LE(8)}`,
    );
  }
  return version;
}

interface BlockState {
  /** covered by the last successful flush */
  flushed: number;
  /** written (acknowledged or not) or read since, in order */
  written: number[];
  acknowledged: number;
  /** what a read may return now */
  candidates: Set<number>;
}

/** What a snapshot may hold of each block: the point in time is somewhere between its begin and its end. */
export interface SnapshotContents {
  possible: Map<number, Set<number>>;
}

export class BlockHistory {
  private readonly blocks = new Map<number, BlockState>();
  private readonly openSnapshots = new Set<SnapshotContents>();
  private nextVersion = 1;

  private state(block: number): BlockState {
    let state = this.blocks.get(block);
    if (state === undefined) {
      state = { flushed: 0, written: [], acknowledged: 0, candidates: new Set([0]) };
      this.blocks.set(block, state);
    }
    return state;
  }

  /** A write is about to be submitted (one at a time per block); returns its version. */
  begin(block: number): number {
    const version = this.nextVersion++;
    const state = this.state(block);
    state.written.push(version);
    state.candidates.add(version);
    for (const { possible } of this.openSnapshots) {
      possible.set(block, new Set([...(possible.get(block) ?? [0]), version]));
    }
    return version;
  }

  acknowledge(block: number, version: number): void {
    const state = this.state(block);
    state.acknowledged = version;
    state.candidates = new Set([version]);
  }

  /** What a flush that is submitted now will cover once it succeeds. */
  flushPoint(): Map<number, number> {
    return new Map([...this.blocks].map(([block, state]) => [block, state.acknowledged]));
  }

  flushed(point: Map<number, number>): void {
    for (const [block, version] of point) {
      const state = this.state(block);
      const index = state.written.indexOf(version);
      // Not among them: covered by a flush that was submitted later and answered earlier, or nothing was written.
      if (index === -1) continue;
      state.flushed = version;
      state.written.splice(0, index + 1);
    }
  }

  /** The device was attached anew, its cache may be gone: unflushed writes are optional now, in any order. */
  lostCache(): void {
    for (const [block, state] of this.blocks) {
      state.candidates = new Set([state.flushed, ...state.written]);
      state.acknowledged = state.flushed;
      for (const { possible } of this.openSnapshots) {
        possible.set(block, new Set([...(possible.get(block) ?? []), ...state.candidates]));
      }
    }
  }

  /** Judges what a read returned, with no write to the block under way; from now on it must stay so. */
  check(block: number, version: number): void {
    const state = this.state(block);
    if (!state.candidates.has(version)) {
      const possible = [...state.candidates].join(', ');
      throw new ContractViolation(
        `block ${block}: read version ${version}, possible were [${possible}], flushed ${state.flushed}`,
      );
    }
    state.candidates = new Set([version]);
    state.acknowledged = version;
    if (state.written.length > 0 && state.written.at(-1) !== version) {
      state.written = [...state.written.filter((other) => other !== version), version];
    }
  }

  /** A snapshot is about to be asked for. */
  beginSnapshot(): SnapshotContents {
    const contents = {
      possible: new Map([...this.blocks].map(([block, state]) => [block, new Set(state.candidates)])),
    };
    this.openSnapshots.add(contents);
    return contents;
  }

  /** It was taken: what is written from now on is not in it. */
  endSnapshot(contents: SnapshotContents): void {
    this.openSnapshots.delete(contents);
  }

  /** The device was set back to a snapshot. */
  revertTo({ possible }: SnapshotContents): void {
    for (const [block, state] of this.blocks) {
      const candidates = [...(possible.get(block) ?? [0])];
      state.candidates = new Set(candidates);
      state.flushed = candidates[0] ?? 0;
      state.written = candidates.slice(1);
      state.acknowledged = state.flushed;
    }
  }

  blockNumbers(): number[] {
    return [...this.blocks.keys()].sort((a, b) => a - b);
  }
}
