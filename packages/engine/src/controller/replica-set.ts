/** The replicas that an engine was given, and where each of them stands. */
import type { ReplicaClient, SyncAgentClient } from './backends.ts';
import type { MemberId } from './core/core-api.ts';
import { REPLICAS_MAX } from './control-limits.ts';
import type { ReplicaReport } from './replica-report.ts';

/**
 * `opening`: not connected yet. `joining`: gets all writes, is being rebuilt (WO). `reading`: a member (RW). `lost`: a member whose
 * connection failed; the record without it is not stored yet, so nothing is acknowledged. `leaving`: a member that
 * works but is to go; it counts until the record without it is stored. `out`: failed or refused (ERR).
 */
export type Stage = 'opening' | 'joining' | 'reading' | 'lost' | 'leaving' | 'out';

export interface ReplicaEntry {
  readonly address: string;
  readonly client: ReplicaClient;
  readonly syncAgent: SyncAgentClient;
  /** replica CR name; the address for replicas that do not tell one */
  name: string;
  stage: Stage;
  /** why it is out or lost; "" otherwise */
  reason: string;
  /** its connection in the core; null without one */
  memberId: MemberId | null;
  report: ReplicaReport | null;
  /** its removal while it is under way */
  removal: Promise<void> | null;
}

export const MODE_WO = 'WO';
export const MODE_RW = 'RW';
export const MODE_ERR = 'ERR';
export type Mode = typeof MODE_WO | typeof MODE_RW | typeof MODE_ERR;

/** What upstream's calls see. */
export function modeOf(entry: ReplicaEntry): Mode {
  switch (entry.stage) {
    case 'reading':
      return MODE_RW;
    case 'joining':
      return MODE_WO;
    case 'opening':
    case 'lost':
    case 'leaving':
    case 'out':
      return MODE_ERR;
  }
}

export class ReplicaSet {
  private readonly entries = new Map<string, ReplicaEntry>();

  add(entry: ReplicaEntry): void {
    if (this.entries.size >= REPLICAS_MAX) {
      throw new Error(`cannot add replica ${entry.address}: the engine has ${REPLICAS_MAX} replicas; remove one first`);
    }
    this.entries.set(entry.address, entry);
  }

  /** The caller closes the entry's clients when it has no more use for them. */
  remove(address: string): void {
    this.entries.delete(address);
  }

  get(address: string): ReplicaEntry | null {
    return this.entries.get(address) ?? null;
  }

  byMember(id: MemberId): ReplicaEntry | null {
    for (const entry of this.entries.values()) if (entry.memberId === id) return entry;
    return null;
  }

  all(): ReplicaEntry[] {
    return [...this.entries.values()];
  }

  inStage(...stages: readonly Stage[]): ReplicaEntry[] {
    return this.all().filter((entry) => stages.includes(entry.stage));
  }

  get size(): number {
    return this.entries.size;
  }
}
