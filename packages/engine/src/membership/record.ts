/**
 * The membership record: which replicas hold all acknowledged writes, as of a generation.
 *
 * Every replica keeps one, synced, in its folder; the Engine CR keeps the newest that the control plane
 * knows. A generation is (epoch, count), compared in that order. `bases` are the records that this one was
 * proposed from: they count as well until every member of this one is known to have it.
 */

/** A membership record as the rules read it; the wire form is `ptypes.MembershipRecord`. */
export interface MembershipRecord {
  readonly epoch: number;
  readonly count: number;
  /** replica CR names, sorted, without duplicates */
  readonly members: readonly string[];
  /** volume size; 0 = not told (the control plane's copy) */
  readonly sizeBytes: number;
  /** layer file names below the head, newest first */
  readonly chain: readonly string[];
  readonly bases: readonly MembershipRecord[];
  /** written by the control plane while no engine ran: counts without its members having it */
  readonly decided: boolean;
}

/** The part of a record that orders records. */
export interface Generation {
  readonly epoch: number;
  readonly count: number;
}

/** Negative when `left` is older, 0 when equal, positive when newer. */
export function compareGenerations(left: Generation, right: Generation): number {
  return left.epoch - right.epoch || left.count - right.count;
}

/** `epoch.count`, as people read it in reasons and logs. */
export function generationText(generation: Generation): string {
  return `${generation.epoch}.${generation.count}`;
}

/** The record of the highest generation, or null when there is none. */
export function newestRecord(records: Iterable<MembershipRecord | null>): MembershipRecord | null {
  let newest: MembershipRecord | null = null;
  for (const record of records) {
    if (record && (!newest || compareGenerations(record, newest) > 0)) newest = record;
  }
  return newest;
}

/**
 * A first record (epoch 0: no engine has written yet) is in the control plane before any replica folder exists,
 * so it counts without its members having it, like one that is marked so.
 */
export function countsAsDecided(record: MembershipRecord): boolean {
  return record.decided || record.epoch === 0;
}

/** The record without its bases: what is written into the `bases` of the next one. */
export function asBase(record: MembershipRecord): MembershipRecord {
  return record.bases.length === 0 ? record : { ...record, bases: [] };
}

/** Sorted copy without duplicates: the canonical form of `members`. */
export function sortedMembers(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}

/**
 * Reads the record that the control plane passes on the command line,
 * `{"epoch":1,"count":2,"members":["v-r-1"],"decided":false}`. Throws an error that names the field.
 */
export function parseKnownRecord(text: string): MembershipRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error('membership: not valid JSON; expected {"epoch":N,"count":N,"members":[...],"decided":false}', {
      cause,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('membership: must be a JSON object with epoch, count and members');
  }
  const fields = new Map<string, unknown>(Object.entries(value));
  const members = fields.get('members');
  if (!Array.isArray(members) || !members.every((name): name is string => typeof name === 'string' && name !== '')) {
    throw new Error('membership.members: must be an array of replica names');
  }
  const decided = fields.get('decided') ?? false;
  if (typeof decided !== 'boolean') throw new Error('membership.decided: must be true or false');
  return {
    epoch: readCounter(fields, 'epoch'),
    count: readCounter(fields, 'count'),
    members: sortedMembers(members),
    sizeBytes: 0,
    chain: [],
    bases: [],
    decided,
  };
}

function readCounter(fields: ReadonlyMap<string, unknown>, name: string): number {
  const value = fields.get(name);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`membership.${name}: must be a whole number, 0 or above`);
  }
  return value;
}
