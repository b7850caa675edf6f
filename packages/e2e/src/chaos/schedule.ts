/**
 * What happens in which round: a pure function of seed and round, so that a seed repeats a run.
 *
 * Kinds are dealt from shuffled decks, not drawn one by one: ten rounds in a row, from a multiple of ten on, hold every
 * slot of main faults and every activity once. So two short runs have seen each kind, and within ten rounds the node of the
 * only copy of a volume loses power, or all nodes do, which is what shows whether a flush reached the disk.
 */
import { seededRandom, type Random } from '../random.ts';

export type ProcessFaultKind =
  | 'kill-replica'
  | 'stop-replica'
  /** stopped for ever: somebody must notice and kill it */
  | 'hang-replica'
  | 'kill-engine'
  | 'stop-engine'
  | 'hang-engine'
  | 'kill-instance-manager'
  | 'stop-instance-manager'
  | 'kill-manager'
  | 'stop-manager';

export type PowerFaultKind =
  | 'power-cut'
  /** of the node with the only replica of a volume */
  | 'power-cut-only-copy'
  /** one node, and another while the first is without power or has just returned */
  | 'power-cut-two'
  | 'power-cut-all';

export type FaultKind = ProcessFaultKind | PowerFaultKind;

export function isPowerFault(kind: FaultKind): kind is PowerFaultKind {
  return kind.startsWith('power-cut');
}

/** A deck of main faults; those of a slot take turns from deck to deck and from seed to seed. */
const MAIN_SLOTS: FaultKind[][] = [
  ['kill-replica', 'stop-replica'],
  ['hang-replica'],
  ['kill-engine'],
  ['stop-engine', 'hang-engine'],
  ['kill-instance-manager'],
  ['stop-instance-manager', 'kill-instance-manager'],
  ['kill-manager', 'stop-manager'],
  ['power-cut'],
  ['power-cut-only-copy', 'power-cut-all'],
  ['power-cut-two'],
];

/** Faults beside the main one. */
const EXTRAS: ProcessFaultKind[] = [
  'kill-replica',
  'kill-replica',
  'stop-replica',
  'kill-engine',
  'kill-engine',
  'stop-engine',
  'kill-instance-manager',
  'kill-manager',
  'stop-manager',
];

export type ActivityKind = 'none' | 'snapshot' | 'purge' | 'delete-replica' | 'move' | 'revert';

const ACTIVITIES: ActivityKind[] = [
  'snapshot',
  'snapshot',
  'purge',
  'delete-replica',
  'delete-replica',
  'move',
  'move',
  'revert',
  'revert',
  'none',
];

export const DECK_ROUNDS = MAIN_SLOTS.length;

export interface Fault {
  kind: FaultKind;
  /** in [0, 1): which of the processes or nodes that there are */
  victim: number;
  /** in [0, 1): which of the others, for faults with two victims */
  second: number;
  /** at once, or as soon as a rebuild is seen (or after a while without one) */
  when: 'at-once' | 'in-rebuild';
  /** before it is injected, after the fault before */
  afterMs: number;
  /** how long a stopped process stands still, or a node is without power */
  holdMs: number;
}

export interface RoundPlan {
  faults: Fault[];
  activity: ActivityKind;
  /** in [0, 1): which volume, which node */
  subject: number;
  target: number;
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const left = [...items];
  return items.map(() => {
    const item = random.pick(left);
    left.splice(left.indexOf(item), 1);
    return item;
  });
}

/** Mostly short; sometimes longer than every time-out of the system's own. */
function holdMs(random: Random): number {
  return 500 + random.below(random.chance(0.2) ? 14_000 : 3000);
}

function makeFault(random: Random, kind: FaultKind, when: Fault['when']): Fault {
  return {
    kind,
    when,
    victim: random.next(),
    second: random.next(),
    afterMs: random.chance(0.2) ? 0 : 100 + random.below(1500),
    holdMs: holdMs(random),
  };
}

export function planRound(seed: number, round: number): RoundPlan {
  const deck = Math.floor(round / DECK_ROUNDS);
  const dealer = seededRandom(seed * 10_007 + deck);
  const slots = shuffled(dealer, MAIN_SLOTS);
  const activities = shuffled(dealer, ACTIVITIES);
  const slot = slots[round % DECK_ROUNDS] ?? [];
  const main = slot[(deck + Math.abs(seed) + 1) % slot.length];
  const activity = activities[round % DECK_ROUNDS];
  if (main === undefined || activity === undefined) throw new RangeError(`round ${round} is not in a deck`);

  const random = seededRandom((seed * 10_007 + round) ^ 0x5eed);
  const faults = [makeFault(random, main, 'at-once')];
  const extras = random.below(3);
  for (let index = 0; index < extras; index++) {
    const inRebuild = random.chance(0.4);
    const fault = makeFault(random, random.pick(EXTRAS), inRebuild ? 'in-rebuild' : 'at-once');
    if (inRebuild || random.chance(0.5)) faults.push(fault);
    else faults.unshift(fault);
  }
  return { faults, activity, subject: random.next(), target: random.next() };
}
