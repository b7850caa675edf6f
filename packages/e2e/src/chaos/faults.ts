/** The faults of a round: each is injected, held for a while and undone as the world would undo it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../cluster.ts';
import { at } from '../kube.ts';
import { isStill, markedProcesses, type ProcessEntry } from '../processes.ts';
import { replicasOf } from '../volumes.ts';
import { isPowerFault, type Fault, type ProcessFaultKind } from './schedule.ts';

/** How long a fault for a rebuild waits for one. */
const REBUILD_WAIT_MS = 6_000;
const REBUILD_POLL_MS = 20;

/** The processes of the system by what they are. */
export const PROGRAMS = {
  replica: /node.* replica .*--replica-instance-name/,
  engine: /node.*--engine-instance-name \S+ controller /,
  'instance-manager': /node.*longhorn-instance-manager.* daemon/,
  manager: /node.*longhorn-manager.* daemon/,
} as const;

export type Program = keyof typeof PROGRAMS;

const PROGRAM_OF: Record<ProcessFaultKind, Program> = {
  'kill-replica': 'replica',
  'stop-replica': 'replica',
  'hang-replica': 'replica',
  'kill-engine': 'engine',
  'stop-engine': 'engine',
  'hang-engine': 'engine',
  'kill-instance-manager': 'instance-manager',
  'stop-instance-manager': 'instance-manager',
  'kill-manager': 'manager',
  'stop-manager': 'manager',
};

/** What a round did to the system so far, for the verdict on what may be lost, and for its line in the log. */
export interface Damage {
  /** nodes that lost power */
  cut: Set<string>;
  /** replica processes that were ended or stopped, as `volume@node` */
  replicas: Set<string>;
  /** nodes whose replica processes all ended */
  nodes: Set<string>;
  log: string[];
}

export const noDamage = (): Damage => ({ cut: new Set(), replicas: new Set(), nodes: new Set(), log: [] });

function pick<T>(items: readonly T[], share: number): T | undefined {
  return items[Math.floor(share * items.length)];
}

/** Injects a fault, holds it and undoes it. A process that is not there (already dead) makes it a no-op. */
export async function strike(
  cluster: Cluster,
  fault: Fault,
  nodes: readonly string[],
  onlyCopyOf: string,
  damage: Damage,
): Promise<void> {
  const { kind, victim, second } = fault;
  if (!isPowerFault(kind)) return strikeProcess(cluster, fault, kind, damage);
  const first = pick(nodes, victim) ?? '';
  switch (kind) {
    case 'power-cut':
      return cutAndReturn(cluster, fault, [first], damage);
    case 'power-cut-only-copy': {
      const [replica] = await replicasOf(cluster, onlyCopyOf);
      return cutAndReturn(cluster, fault, [String(at(replica, 'spec.nodeID'))], damage);
    }
    case 'power-cut-two': {
      const others = nodes.filter((node) => node !== first);
      return cutAndReturn(cluster, fault, [first, pick(others, second) ?? ''], damage);
    }
    case 'power-cut-all':
      return cutAndReturn(cluster, fault, [...nodes], damage);
    default:
      return kind satisfies never;
  }
}

/** Nodes lose power one after the other and get it back in the same order, each after the hold time. */
async function cutAndReturn(cluster: Cluster, fault: Fault, victims: string[], damage: Damage): Promise<void> {
  const gapMs = Math.floor((fault.second * fault.holdMs * 3) / 2);
  damage.log.push(`power-cut ${victims.join(`, ${gapMs} ms later `)} (${fault.afterMs} ms + ${fault.holdMs} ms)`);
  await Promise.all(
    victims.map(async (node, index) => {
      await delay(index * gapMs);
      damage.cut.add(node);
      await cluster.powerCut(node);
      await delay(fault.holdMs);
      await cluster.powerOn(node);
    }),
  );
}

async function strikeProcess(cluster: Cluster, fault: Fault, kind: ProcessFaultKind, damage: Damage): Promise<void> {
  const program = PROGRAM_OF[kind];
  const found = markedProcesses(cluster.folder)
    .filter(({ command }) => PROGRAMS[program].test(command))
    .sort((a, b) => nameOf(program, a).localeCompare(nameOf(program, b)));
  const victim = pick(found, fault.victim);
  if (victim === undefined) {
    damage.log.push(`${kind}: none runs`);
    return;
  }
  const kills = kind.startsWith('kill-');
  const continues = kind.startsWith('stop-');
  const when = `${fault.when === 'in-rebuild' ? 'in a rebuild, ' : ''}${fault.afterMs} ms${continues ? ` + ${fault.holdMs} ms` : ''}`;
  damage.log.push(`${kind} ${nameOf(program, victim)} (${when})`);
  note(damage, program, kills, victim);
  signal(cluster, victim, kills ? 'SIGKILL' : 'SIGSTOP');
  if (!continues) return;
  await delay(fault.holdMs);
  signal(cluster, victim, 'SIGCONT');
}

function note(damage: Damage, program: Program, kills: boolean, victim: ProcessEntry): void {
  const node = nodeOf(victim);
  if (program === 'replica') damage.replicas.add(`${volumeOf(victim)}@${node}`);
  // Its replicas and engines end with it.
  if (program === 'instance-manager' && kills) damage.nodes.add(node);
}

const nodeOf = ({ mark }: ProcessEntry): string => mark.slice(mark.indexOf('/') + 1);
const instanceOf = ({ command }: ProcessEntry): string =>
  /--(?:replica|engine)-instance-name (\S+)/.exec(command)?.[1] ?? '';
const volumeOf = (entry: ProcessEntry): string => instanceOf(entry).replace(/-[re]-[^-]*$/, '');

/** Names of replicas are random: which one is struck depends on volume and node, so that a seed repeats a run. */
function nameOf(program: Program, entry: ProcessEntry): string {
  return program === 'replica' || program === 'engine' ? `${volumeOf(entry)}@${nodeOf(entry)}` : nodeOf(entry);
}

function signal(cluster: Cluster, entry: ProcessEntry, name: NodeJS.Signals): void {
  // After a hold it may have ended, and its id may be another's.
  if (name === 'SIGCONT' && !isStill(cluster.folder, entry)) return;
  try {
    process.kill(entry.pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Waits until the fault's time has come. */
export async function untilDue(cluster: Cluster, fault: Fault): Promise<void> {
  if (fault.when === 'in-rebuild') {
    const deadline = performance.now() + REBUILD_WAIT_MS;
    while (performance.now() < deadline && !(await isRebuilding(cluster))) await delay(REBUILD_POLL_MS);
  }
  await delay(fault.when === 'in-rebuild' ? fault.afterMs / 10 : fault.afterMs);
}

async function isRebuilding(cluster: Cluster): Promise<boolean> {
  const engines = await cluster.kube.list('engines');
  return engines.some((engine) =>
    Object.values((at(engine, 'status.replicaModeMap') as object | undefined) ?? {}).includes('WO'),
  );
}
