/**
 * Random walks over the fencing rules: replicas, engines of rising epochs, a control plane; any message may fail.
 *
 * The engines decide by `decideStart` and `agreementFor` themselves. Property: an engine that serves has every
 * acknowledged write on each of its members. Each rule can be left out by what the walk does with the answers, so that
 * a test sees that leaving it out is caught.
 */
import { agreementFor } from './agreement.ts';
import { asBase, compareGenerations, countsAsDecided, sortedMembers, type MembershipRecord } from './record.ts';
import { seededRandom, type Random } from './random.ts';
import { decideStart, type SeenReplica } from './start.ts';

/** A rule that the walk leaves out. */
export type FencingRule =
  'epochOfReplicas' | 'recordOfControlPlane' | 'epochOfControlPlane' | 'neverFewer' | 'bases' | 'askedOnce';

export interface FencingStats {
  acked: number;
  starts: number;
  confirmed: number;
}

interface Disk {
  readonly name: string;
  epoch: number;
  record: MembershipRecord | null;
  data: bigint;
  up: boolean;
}

interface Engine {
  readonly epoch: number;
  readonly known: MembershipRecord;
  alive: boolean;
  serving: boolean;
  members: string[];
  bases: readonly MembershipRecord[];
  count: number;
  /** as `MembershipKeeper.mustAsk` */
  hasAsked: boolean;
  readonly open: Set<string>;
}

const STEPS = 80;
const LAYOUT = { sizeBytes: 1, chain: [] };

/** One walk; the text of the violation that it ran into, or null. */
export function walkFencing(seed: number, replicaCount: number, without: FencingRule | null, stats: FencingStats) {
  return new FencingWalk(seed, replicaCount, without, stats).run();
}

class FencingWalk {
  private readonly random: Random;
  private readonly without: FencingRule | null;
  private readonly stats: FencingStats;
  private readonly disks: Disk[];
  private readonly engines: Engine[] = [];
  private readonly cut = new Set<string>();
  private readonly plane: { epoch: number; record: MembershipRecord; up: boolean };
  private acked = 0n;
  private writes = 0n;
  private readonly label: string;
  /** of messages, in this walk */
  private readonly lossChance: number;

  constructor(seed: number, replicaCount: number, without: FencingRule | null, stats: FencingStats) {
    this.random = seededRandom(seed);
    this.without = without;
    this.stats = stats;
    this.label = `seed ${seed}, ${replicaCount} replicas`;
    this.lossChance = this.random.pick([0.05, 0.1, 0.3]);
    const names = Array.from({ length: replicaCount }, (_, index) => `r${index}`);
    const decided = this.random.chance(0.5);
    const first: MembershipRecord = { epoch: 0, count: 0, members: names, ...LAYOUT, bases: [], decided };
    this.plane = { epoch: 0, record: { ...first, ...(decided ? { sizeBytes: 0 } : {}) }, up: true };
    this.disks = names.map((name) => ({ name, epoch: 0, record: decided ? null : first, data: 0n, up: true }));
  }

  run(): string | null {
    const { random } = this;
    for (let step = 0; step < STEPS; step++) {
      const action = random.next();
      if (action < 0.08) {
        const disk = random.pick(this.disks);
        disk.up = !disk.up;
      } else if (action < 0.18 && this.engines.length > 0) {
        this.toggleCut();
      } else if (action < 0.21) {
        this.plane.up = !this.plane.up;
      } else if (action < 0.26 && this.plane.up && this.engines.length < 8) {
        this.newEngine();
      } else if (action < 0.28 && this.engines.length > 0) {
        random.pick(this.engines).alive = false;
      } else if (this.engines.length > 0) {
        const violation = this.drive(random.pick(this.engines.slice(-3)), action);
        if (violation) return violation;
      }
    }
    return this.end();
  }

  /** Nothing fails any more: an engine that reaches all replicas and the control plane has to be able to start. */
  private end(): string | null {
    const seen = this.disks.map(seenOf);
    const decision = decideStart({ epoch: this.plane.epoch + 1, seen, known: this.plane.record, deviceLive: false });
    if (decision.kind === 'serve') return null;
    return `${this.label}: with all replicas there no engine can start: ${decision.reason}`;
  }

  private toggleCut(): void {
    const key = `${this.random.pick(this.engines.slice(-2)).epoch}/${this.random.pick(this.disks).name}`;
    if (!this.cut.delete(key)) this.cut.add(key);
  }

  private newEngine(): void {
    this.plane.epoch++;
    this.engines.push({
      epoch: this.plane.epoch,
      known: this.plane.record,
      alive: true,
      serving: false,
      members: [],
      bases: [],
      count: 0,
      hasAsked: false,
      open: new Set(),
    });
  }

  private drive(engine: Engine, action: number): string | null {
    if (!engine.alive) return null;
    if (!engine.serving) return this.start(engine);
    if (action < 0.8) return this.write(engine);
    if (action < 0.92) return this.join(engine);
    if (engine.members.every((name) => this.usable(engine, this.disk(name)))) return this.check(engine, 'read');
    return null;
  }

  private start(engine: Engine): string | null {
    for (const disk of this.disks) {
      if (this.reaches(engine, disk) && disk.epoch <= engine.epoch && !this.random.chance(this.lossChance)) {
        disk.epoch = engine.epoch;
        engine.open.add(disk.name);
      }
    }
    const seen = this.disks.filter((disk) => engine.open.has(disk.name) && this.usable(engine, disk));
    const known = this.without === 'recordOfControlPlane' && !engine.known.decided ? null : engine.known;
    const decision = decideStart({ epoch: engine.epoch, seen: seen.map(seenOf), known, deviceLive: false });
    if (decision.kind !== 'serve') {
      return this.without === 'neverFewer' ? this.startWithFewer(engine, seen) : null;
    }
    return this.startWith(engine, [...decision.members], decision.bases, decision.agreement === 'ask');
  }

  /** What an engine would do that takes the newest members it sees for enough. */
  private startWithFewer(engine: Engine, seen: readonly Disk[]): string | null {
    let top: MembershipRecord | null = null;
    for (const disk of seen) if (disk.record && (!top || compareGenerations(disk.record, top) > 0)) top = disk.record;
    if (!top) return null;
    const record = top;
    const have = seen.filter((disk) => disk.record && compareGenerations(disk.record, record) === 0);
    const members = have.map((disk) => disk.name).filter((name) => record.members.includes(name));
    return members.length === 0 ? null : this.startWith(engine, members, [asBase(record), ...record.bases], false);
  }

  private startWith(engine: Engine, members: string[], bases: readonly MembershipRecord[], mustAsk: boolean) {
    engine.bases = bases;
    const source = this.disk(this.random.pick(members)).data;
    engine.count++;
    const hasAsked = engine.hasAsked && this.without !== 'askedOnce';
    if (!this.allowed(engine, members, mustAsk || hasAsked)) return null;
    for (const name of members) {
      const disk = this.disk(name);
      if (!this.sends(engine, disk)) return null;
      disk.data = source;
    }
    if (!this.store(engine, members)) return null;
    engine.serving = true;
    this.stats.starts++;
    return this.check(engine, 'start');
  }

  private allowed(engine: Engine, members: readonly string[], mustAsk: boolean): boolean {
    const agreement = agreementFor(new Set(members), engine.bases, 'running');
    if (agreement === 'refused') return false;
    if (agreement === 'own' && !mustAsk) return true;
    // As MembershipKeeper.ask has it: until a member has the first record it counts by itself.
    const decided = engine.bases.length > 0 && engine.bases.every(countsAsDecided);
    engine.hasAsked = true;
    if (!this.plane.up || this.random.chance(this.lossChance)) return false;
    if (this.plane.epoch !== engine.epoch && this.without !== 'epochOfControlPlane') return false;
    if (this.without !== 'recordOfControlPlane') {
      this.plane.record = { ...this.recordFor(engine, members), bases: [], decided };
    }
    this.stats.confirmed++;
    return true;
  }

  private recordFor(engine: Engine, members: readonly string[]): MembershipRecord {
    return {
      epoch: engine.epoch,
      count: engine.count,
      members: sortedMembers(members),
      ...LAYOUT,
      bases: this.without === 'bases' ? [] : engine.bases,
      decided: false,
    };
  }

  private propose(engine: Engine, members: readonly string[]): boolean {
    engine.count++;
    return this.allowed(engine, members, false) && this.store(engine, members);
  }

  /** Writes the record to all members; true: it is active. */
  private store(engine: Engine, members: readonly string[]): boolean {
    const record = this.recordFor(engine, members);
    if (this.random.chance(this.lossChance)) return false; // nobody got it
    for (const name of this.random.shuffle(members)) {
      const disk = this.disk(name);
      if (!this.sends(engine, disk)) return false;
      disk.record = record;
      if (this.random.chance(this.lossChance)) return false; // stored, but the answer was lost
    }
    engine.members = [...record.members];
    engine.bases = [asBase(record)];
    for (const name of members) {
      const disk = this.disk(name);
      if (this.sends(engine, disk)) disk.record = asBase(record);
    }
    return true;
  }

  private write(engine: Engine): string | null {
    const bit = 1n << this.writes++;
    const got: string[] = [];
    for (const name of engine.members) {
      const outcome = this.random.next();
      const disk = this.disk(name);
      if (!this.usable(engine, disk) || outcome <= 0.1) continue;
      disk.data |= bit;
      if (outcome > 0.16) got.push(name); // else written, but the answer was lost
    }
    if (got.length !== engine.members.length && !this.goOnWith(engine, got)) {
      engine.serving = false;
      engine.alive = false;
      return null;
    }
    this.acked |= bit;
    this.stats.acked++;
    return this.check(engine, 'write');
  }

  private goOnWith(engine: Engine, got: readonly string[]): boolean {
    for (let attempt = 0; attempt < 3; attempt++) {
      const live = got.filter((name) => this.usable(engine, this.disk(name)));
      if (live.length > 0 && this.propose(engine, live)) return true;
    }
    return false;
  }

  private join(engine: Engine): string | null {
    const candidates = this.disks.filter(
      (disk) => !engine.members.includes(disk.name) && this.reaches(engine, disk) && disk.epoch <= engine.epoch,
    );
    const [source] = engine.members;
    if (candidates.length === 0 || source === undefined || !this.usable(engine, this.disk(source))) return null;
    const joiner = this.random.pick(candidates);
    joiner.epoch = engine.epoch;
    joiner.data = this.disk(source).data;
    const before = engine.members;
    if (!this.propose(engine, [...before, joiner.name]) && !this.propose(engine, before)) {
      engine.serving = false;
      engine.alive = false;
    }
    return null;
  }

  private check(engine: Engine, when: string): string | null {
    for (const name of engine.members) {
      if ((this.acked & ~this.disk(name).data) !== 0n) {
        return `${this.label}: at a ${when} of epoch ${engine.epoch} replica ${name} lacks an acknowledged write`;
      }
    }
    return null;
  }

  private reaches(engine: Engine, disk: Disk): boolean {
    return disk.up && !this.cut.has(`${engine.epoch}/${disk.name}`);
  }

  private usable(engine: Engine, disk: Disk): boolean {
    return this.reaches(engine, disk) && (disk.epoch === engine.epoch || this.without === 'epochOfReplicas');
  }

  private sends(engine: Engine, disk: Disk): boolean {
    return this.usable(engine, disk) && !this.random.chance(this.lossChance);
  }

  private disk(name: string): Disk {
    const disk = this.disks.find((candidate) => candidate.name === name);
    if (!disk) throw new Error(`no replica ${name}`);
    return disk;
  }
}

function seenOf(disk: Disk): SeenReplica {
  return { name: disk.name, record: disk.record, keptMemory: true, hostRestarted: false, ...LAYOUT };
}
