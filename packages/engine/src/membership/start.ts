/**
 * May an engine start, and with which replicas? A pure function of what the opened replicas report and of the record
 * that the control plane handed out with the epoch.
 *
 * Guarantees (checked by random walks in fencing-walk.test.ts and contents-walk.test.ts): the members of a `serve` answer
 * hold every acknowledged write, and no other engine can go on beside one that got that answer and wrote its record.
 */
import { agreementFor, type Agreement } from './agreement.ts';
import { fittingVariant, sameLayout, type Layout } from './layout.ts';
import { asBase, compareGenerations, countsAsDecided, generationText, newestRecord, sortedMembers } from './record.ts';
import type { MembershipRecord } from './record.ts';

/** A replica that this engine opened with its epoch, as it reported itself then. */
export interface SeenReplica extends Layout {
  readonly name: string;
  readonly record: MembershipRecord | null;
  /** its process, and so its list of regions, lives since the record's epoch was opened */
  readonly keptMemory: boolean;
  /** its host started anew since the replica was last a member: unsynced writes are lost */
  readonly hostRestarted: boolean;
}

export interface StartInput {
  readonly epoch: number;
  readonly seen: readonly SeenReplica[];
  /** the record that the control plane held when it gave out the epoch; null = none */
  readonly known: MembershipRecord | null;
  /** a device session of an earlier engine is still in use */
  readonly deviceLive: boolean;
}

/** A seen replica that is not to serve, and why (a sentence for people). */
export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

export type StartDecision =
  | {
      readonly kind: 'serve';
      readonly members: readonly string[];
      readonly bases: readonly MembershipRecord[];
      readonly agreement: Exclude<Agreement, 'refused'>;
      readonly leftOut: readonly LeftOut[];
      readonly layout: Layout;
    }
  | { readonly kind: 'wait'; readonly reason: string; readonly replicas: readonly string[] }
  | { readonly kind: 'fail'; readonly reason: string };

/** Who counts, under which records; `dropped` were never active. */
interface Standing {
  readonly bases: readonly MembershipRecord[];
  readonly counting: readonly SeenReplica[];
  /** all records whose layout a counting replica may have, newest first */
  readonly variants: readonly MembershipRecord[];
}

/** The decision; call it anew whenever a further replica was opened. */
export function decideStart(input: StartInput): StartDecision {
  const { seen, known } = input;
  if (seen.length === 0) {
    return waitFor(known?.members ?? [], 'No replica can be reached.');
  }
  const top = newestRecord(seen.map((replica) => replica.record));
  const isNewer = known !== null && (!top || compareGenerations(known, top) > 0);
  const decided = isNewer && countsAsDecided(known) ? known : null;
  if (!top && !decided) {
    return waitFor(known?.members ?? [], 'None of the replicas that answered has a membership record, so none counts.');
  }
  // A newer record proves nothing once a member is seen that holds an older one: it was never active.
  if (!decided && isNewer && top && !seen.some(({ name, record }) => record !== null && known.members.includes(name))) {
    return waitFor(
      known.members,
      `The control plane knows generation ${generationText(known)}; the replicas that answered (${namesOf(seen)}) hold generation ${generationText(top)}, which is older.`,
    );
  }
  const standing = decided ? standingUnderDecided(decided, seen, seen, []) : standingOf(seen, seen);
  // The control plane's last word came to nothing, yet it lets the next engine start from there unless it hears of another one first.
  return decideMembers(input, standing, isNewer && !decided);
}

/**
 * Walks from the newest record of the candidates to what it was proposed from while a member is seen, candidate or not, that lacks it.
 */
function standingOf(candidates: readonly SeenReplica[], seen: readonly SeenReplica[]): Standing {
  const top = newestRecord(candidates.map((replica) => replica.record));
  if (!top) return { bases: [], counting: candidates, variants: [] };
  const chain = [asBase(top), ...top.bases];
  const dropped: MembershipRecord[] = [];
  for (;;) {
    const [record, ...below] = chain;
    if (!record || below.length === 0 || !someMemberLacks(record, below, seen)) break;
    dropped.push(record);
    chain.shift();
  }
  const [record] = chain;
  if (!record) throw new Error('a chain of records ran empty');
  if (countsAsDecided(record) && dropped.length > 0) return standingUnderDecided(record, candidates, seen, dropped);
  const accepted = [record, ...dropped];
  const counting = candidates.filter(
    (replica) =>
      record.members.includes(replica.name) && (holdsOneOf(replica, accepted) || wentOnFrom(replica, record)),
  );
  const complete = dropped.length === 0 && record.members.every((name) => holds(candidates, name, record));
  return { bases: complete ? [record] : chain, counting, variants: variantsOf([...dropped, ...chain], counting) };
}

/** All records whose layout a counting replica may have, newest first. */
function variantsOf(chain: readonly MembershipRecord[], counting: readonly SeenReplica[]): MembershipRecord[] {
  const variants = [...chain];
  for (const { record } of counting) {
    // A member may stand before or after an operation that its own record announces.
    for (const own of record ? [record, ...record.bases] : []) {
      if (!variants.some((variant) => compareGenerations(variant, own) === 0)) variants.push(own);
    }
  }
  return variants.sort((left, right) => compareGenerations(right, left));
}

/**
 * A member with an older record shows that this one was never active. A member without any shows that only where
 * members start without records, under a decided one; elsewhere its record was lost, and nothing is known.
 */
function someMemberLacks(record: MembershipRecord, below: readonly MembershipRecord[], seen: readonly SeenReplica[]) {
  const startsWithoutRecord = below.some(countsAsDecided);
  return seen.some(
    (replica) =>
      record.members.includes(replica.name) &&
      (replica.record ? compareGenerations(replica.record, record) < 0 : startsWithoutRecord),
  );
}

/**
 * A decided record counts without its members having it. Of its members those count that have the newest data
 * among them: the control plane may not have known that one of them was out already.
 */
function standingUnderDecided(
  decided: MembershipRecord,
  candidates: readonly SeenReplica[],
  seen: readonly SeenReplica[],
  dropped: readonly MembershipRecord[],
): Standing {
  const members = candidates.filter((replica) => decided.members.includes(replica.name));
  const onTop = members.filter((replica) => holdsOneOf(replica, dropped));
  const rest = members.filter((replica) => !onTop.includes(replica));
  const below = rest.length > 0 ? standingOf(rest, seen) : { bases: [], counting: [], variants: [] };
  const variants = [...dropped, decided, ...below.variants].filter((record) => record.sizeBytes > 0);
  return { bases: [asBase(decided)], counting: [...onTop, ...below.counting], variants };
}

function decideMembers(input: StartInput, standing: Standing, mustAsk: boolean): StartDecision {
  const fitting = standing.counting.filter((replica) => fits(replica, standing.variants));
  const agreed = new Set(fitting.map((replica) => replica.name));
  if (agreementFor(agreed, standing.bases, 'start') === 'refused') return waitForAgreement(standing, agreed);
  const warm = fitting.filter((replica) => !replica.hostRestarted);
  if (warm.length === 0 && input.deviceLive) {
    return {
      kind: 'fail',
      reason: `The device is in use, but the hosts of all its replicas (${namesOf(fitting)}) restarted: writes that were not flushed are lost. Detach the volume and attach it anew.`,
    };
  }
  const chosen = largestGroup(warm.length > 0 ? warm : fitting, standing.variants);
  const members = sortedMembers(chosen.map((replica) => replica.name));
  const asked = mustAsk || agreementFor(new Set(members), standing.bases, 'running') === 'ask';
  const first = chosen[0];
  if (!first) throw new Error('an agreement without a replica');
  return {
    kind: 'serve',
    members,
    bases: standing.bases.map(asBase),
    agreement: asked || agreementFor(agreed, standing.bases, 'start') === 'ask' ? 'ask' : 'own',
    leftOut: input.seen.filter((replica) => !members.includes(replica.name)).map((r) => leftOut(r, standing, fitting)),
    layout: { sizeBytes: first.sizeBytes, chain: longestChain(chosen) },
  };
}

/** Replicas without any record to compare with (a first start) fit as they are. */
function fits(replica: SeenReplica, variants: readonly MembershipRecord[]): boolean {
  return variants.length === 0 || fittingVariant(replica, variants) !== null;
}

/**
 * The replicas that go on together have one layout: of an operation that was half done, the side that more of
 * them are on; the newer one when both are equal.
 */
function largestGroup(replicas: readonly SeenReplica[], variants: readonly MembershipRecord[]): readonly SeenReplica[] {
  const groups: { rank: number; layout: Layout; replicas: SeenReplica[] }[] = [];
  for (const replica of replicas) {
    const rank = fittingVariant(replica, variants);
    const group = groups.find((candidate) =>
      rank === null ? sameLayout(candidate.layout, replica) : sameVariant(candidate.rank, rank, variants),
    );
    if (group) group.replicas.push(replica);
    else groups.push({ rank: rank ?? groups.length, layout: replica, replicas: [replica] });
  }
  groups.sort((left, right) => right.replicas.length - left.replicas.length || left.rank - right.rank);
  return groups[0]?.replicas ?? [];
}

/** Two records of different generations often have one layout (a mere change of members). */
function sameVariant(left: number, right: number, variants: readonly MembershipRecord[]): boolean {
  const one = variants[left];
  const other = variants[right];
  return left === right || (one !== undefined && other !== undefined && sameLayout(one, other));
}

/** A purge may have got further on one member than on another; the record names every layer that still exists somewhere. */
function longestChain(replicas: readonly SeenReplica[]): readonly string[] {
  let longest: readonly string[] = [];
  for (const replica of replicas) if (replica.chain.length > longest.length) longest = replica.chain;
  return longest;
}

function leftOut(replica: SeenReplica, standing: Standing, fitting: readonly SeenReplica[]): LeftOut {
  const { name } = replica;
  if (!replica.record && !standing.counting.includes(replica)) {
    return { name, reason: 'it has no membership record' };
  }
  if (!standing.counting.includes(replica)) {
    return { name, reason: 'it is out of date: the members went on without it' };
  }
  if (!fitting.includes(replica))
    return { name, reason: 'its size or its chain of snapshots is not that of the members' };
  if (replica.hostRestarted) return { name, reason: 'its host restarted and it may lack writes that were not flushed' };
  return { name, reason: 'an operation on snapshots was done half on the replicas, and others decided how it ends' };
}

function waitForAgreement(standing: Standing, agreed: ReadonlySet<string>): StartDecision {
  const missing = sortedMembers(standing.bases.flatMap((base) => base.members)).filter((name) => !agreed.has(name));
  const [newest] = standing.bases;
  const generation = newest ? generationText(newest) : 'none';
  const have = agreed.size === 0 ? 'none of them' : `only ${[...agreed].join(', ')}`;
  return waitFor(
    missing,
    `Of the members of generation ${generation} (${newest?.members.join(', ') ?? ''}) ${have} can be used; more than half of them, or half of them and the control plane's word, are needed.`,
  );
}

function waitFor(replicas: readonly string[], why: string): StartDecision {
  const names = sortedMembers(replicas);
  const whom = names.length === 0 ? 'a replica' : `${names.length === 1 ? 'replica' : 'replicas'} ${names.join(', ')}`;
  return { kind: 'wait', reason: `Waiting for ${whom}. ${why}`, replicas: names };
}

function holdsOneOf(replica: SeenReplica, records: readonly MembershipRecord[]): boolean {
  const own = replica.record;
  return own !== null && records.some((record) => compareGenerations(own, record) === 0);
}

/**
 * It was asked to go on from this record, by a proposal that others did not get, or got in another form: two in a row may
 * each have reached a part of the members. None of them was active, or the newer would have come from it.
 */
function wentOnFrom({ record: own }: SeenReplica, record: MembershipRecord): boolean {
  return own !== null && own.bases.some((base) => compareGenerations(base, record) === 0);
}

function holds(seen: readonly SeenReplica[], name: string, record: MembershipRecord): boolean {
  return seen.some((replica) => replica.name === name && holdsOneOf(replica, [record]));
}

function namesOf(replicas: readonly SeenReplica[]): string {
  return replicas.map((replica) => replica.name).join(', ');
}
