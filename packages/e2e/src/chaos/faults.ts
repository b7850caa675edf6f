/** The faults of a round: each is injected, held for a while and undone as the world would undo it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { markedProcesses, type ProcessEntry } from '../processes.ts';
import type { Random } from '../random.ts';

export type FaultKind =
  | 'kill-replica'
  | 'stop-replica'
  | 'kill-engine'
  | 'stop-engine'
  | 'kill-instance-manager'
  | 'kill-manager'
  | 'stop-manager'
  | 'power-cut';

export const FAULT_KINDS: FaultKind[] = [
  'kill-replica',
  'stop-replica',
  'kill-engine',
  'stop-engine',
  'kill-instance-manager',
  'kill-manager',
  'stop-manager',
  'power-cut',
];

export interface Fault {
  kind: FaultKind;
  node: string;
  /** before it is injected, after the round's begin or the fault before */
  afterMs: number;
  /** how long a stopped process stands still, or a node is without power */
  holdMs: number;
}

const PATTERNS: Record<Exclude<FaultKind, 'power-cut'>, RegExp> = {
  'kill-replica': /node.* replica .*--replica-instance-name/,
  'stop-replica': /node.* replica .*--replica-instance-name/,
  'kill-engine': /node.*--engine-instance-name \S+ controller /,
  'stop-engine': /node.*--engine-instance-name \S+ controller /,
  'kill-instance-manager': /node.*longhorn-instance-manager.* daemon/,
  'kill-manager': /node.*longhorn-manager.* daemon/,
  'stop-manager': /node.*longhorn-manager.* daemon/,
};

/** One to three faults; at most one node loses power in a round. */
export function planFaults(random: Random, nodes: readonly string[]): Fault[] {
  const count = 1 + random.below(3);
  const faults: Fault[] = [];
  for (let index = 0; index < count; index++) {
    const cutAlready = faults.some((fault) => fault.kind === 'power-cut');
    const kinds = cutAlready ? FAULT_KINDS.filter((kind) => kind !== 'power-cut') : FAULT_KINDS;
    faults.push({
      kind: random.pick(kinds),
      node: random.pick(nodes),
      afterMs: 200 + random.below(1500),
      holdMs: 500 + random.below(random.chance(0.2) ? 12_000 : 3000),
    });
  }
  return faults;
}

export function describeFaults(faults: Fault[]): string {
  return faults.map((f) => `${f.kind} on ${f.node} after ${f.afterMs} ms for ${f.holdMs} ms`).join('; ');
}

/**
 * Injects a fault and returns what undoes it. A process that is not there (already dead) makes it a no-op.
 * @param onPowerCut called just before a node loses power
 */
export async function inject(
  fault: Fault,
  cluster: Cluster,
  random: Random,
  onPowerCut: (node: string) => void,
): Promise<() => Promise<void>> {
  await delay(fault.afterMs);
  if (fault.kind === 'power-cut') {
    onPowerCut(fault.node);
    await cluster.powerCut(fault.node);
    return async () => {
      await delay(fault.holdMs);
      await cluster.powerOn(fault.node);
    };
  }
  const pattern = PATTERNS[fault.kind];
  const found = markedProcesses(cluster.folder)
    .filter(({ mark, command }) => mark.endsWith(`/${fault.node}`) && pattern.test(command))
    .sort((a, b) => a.command.localeCompare(b.command));
  if (found.length === 0) return () => Promise.resolve();
  const victim = random.pick(found);
  const stop = fault.kind.startsWith('stop-');
  signal(victim, stop ? 'SIGSTOP' : 'SIGKILL');
  return async () => {
    if (!stop) return;
    await delay(fault.holdMs);
    signal(victim, 'SIGCONT');
  };
}

function signal(entry: ProcessEntry, name: NodeJS.Signals): void {
  try {
    process.kill(entry.pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
