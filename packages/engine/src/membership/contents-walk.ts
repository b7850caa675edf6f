/**
 * Random walks over what a device reads after crashes: one engine at a time (fencing-walk.ts shows that) over replicas
 * with a page cache, a disk and a list of regions in memory.
 *
 * Starts are decided by `decideStart`, regions in doubt by `regionsInDoubt`. Properties: a region reads as its last flushed
 * write or a later one; it reads the same until it is written again; after a loss of cached writes the device fails before
 * it serves anything (a device attached anew may have lost writes that were not flushed).
 */
import { agreementFor } from './agreement.ts';
import { needsHeadExtents, regionsInDoubt } from './doubt.ts';
import { newestRecord, sortedMembers, type MembershipRecord } from './record.ts';
import { seededRandom, type Random } from './random.ts';
import { decideStart, type SeenReplica } from './start.ts';

/** A rule that the walk leaves out. */
export type ContentsRule = 'errorAfterLoss' | 'coldLeftOut' | 'wholeHeads' | 'lists' | 'keepDoubt' | 'syncBeforeJoin';

export interface ContentsStats {
  reads: number;
  flushes: number;
  errors: number;
  starts: number;
}

const REGIONS = 3;
const STEPS = 120;
const ALL_REGIONS = 0b111;
const LAYOUT = { sizeBytes: 1, chain: [] };

interface Disk {
  readonly name: string;
  file: number[];
  synced: number[];
  list: number;
  keptMemory: boolean;
  hostRestarted: boolean;
  up: boolean;
  record: MembershipRecord;
}

/** One walk; the text of the violation that it ran into, or null. */
export function walkContents(seed: number, replicaCount: number, without: ContentsRule | null, stats: ContentsStats) {
  return new ContentsWalk(seed, replicaCount, without, stats).run();
}

class ContentsWalk {
  private readonly random: Random;
  private readonly without: ContentsRule | null;
  private readonly stats: ContentsStats;
  private readonly disks: Disk[];
  private known: MembershipRecord;
  private epoch = 0;
  private count = 0;
  private live = false;
  private sessionLive = false;
  private members: Disk[] = [];
  private doubt = new Map<number, Disk>();
  private writes = 0;
  private readonly flushed: number[] = Array.from({ length: REGIONS }, () => 0);
  private readonly acked: number[] = Array.from({ length: REGIONS }, () => 0);
  private readonly lastRead: (number | null)[] = Array.from({ length: REGIONS }, () => null);
  private readonly label: string;

  constructor(seed: number, replicaCount: number, without: ContentsRule | null, stats: ContentsStats) {
    this.random = seededRandom(seed);
    this.without = without;
    this.stats = stats;
    this.label = `seed ${seed}, ${replicaCount} replicas`;
    const names = Array.from({ length: replicaCount }, (_, index) => `r${index}`);
    this.known = { epoch: 0, count: 0, members: names, ...LAYOUT, bases: [], decided: false };
    this.disks = names.map((name) => ({
      name,
      file: Array.from({ length: REGIONS }, () => 0),
      synced: Array.from({ length: REGIONS }, () => 0),
      list: 0,
      keptMemory: true,
      hostRestarted: false,
      up: true,
      record: this.known,
    }));
  }

  run(): string | null {
    for (let step = 0; step < STEPS; step++) {
      const action = this.random.next();
      if (!this.live && this.random.chance(0.25)) this.start();
      if (action < 0.05) this.restartProcess(this.random.pick(this.disks));
      else if (action < 0.1) this.cutPower(this.random.pick(this.disks));
      else if (action < 0.12) this.cutPowerEverywhere();
      else if (action < 0.2) this.random.pick(this.disks).up = true;
      else if (action < 0.25) this.stop();
      else if (!this.live) continue;
      else if (action < 0.5) this.write();
      else if (action < 0.62) this.flush();
      else if (action < 0.75) this.rebuildOne();
      else {
        const violation = this.read();
        if (violation) return violation;
      }
    }
    return null;
  }

  private start(): void {
    this.epoch++;
    this.count = 0;
    const seen = this.disks.filter((disk) => disk.up);
    const hideCold = this.without === 'coldLeftOut' && seen.some((disk) => !disk.hostRestarted);
    const decision = decideStart({
      epoch: this.epoch,
      seen: seen.map((disk) => seenOf(disk, hideCold)),
      known: this.known,
      deviceLive: this.sessionLive && this.without !== 'errorAfterLoss',
    });
    if (decision.kind === 'fail') return this.fail();
    if (decision.kind === 'wait') return;
    if (!this.sessionLive) this.attachAnew();
    this.sessionLive = true;
    this.live = true;
    this.stats.starts++;
    const members = this.disks.filter((disk) => decision.members.includes(disk.name));
    const source = this.random.pick(members);
    const doubt = this.doubtOf(members);
    this.doubt = new Map();
    for (let region = 0; region < REGIONS; region++) if (doubt & (1 << region)) this.doubt.set(region, source);
    for (const disk of members) if (!disk.keptMemory) disk.list = doubt;
    this.propose(members, decision.bases);
  }

  private doubtOf(members: readonly Disk[]): number {
    if (this.without === 'lists') return 0;
    const whole = needsHeadExtents(
      members.map((disk) => ({ complete: disk.keptMemory || this.without === 'wholeHeads' })),
    );
    const reports = members.map((disk) => ({
      name: disk.name,
      complete: disk.keptMemory || this.without === 'wholeHeads',
      written: Uint8Array.of(disk.list),
      head: whole ? Uint8Array.of(ALL_REGIONS) : null,
    }));
    return regionsInDoubt(reports, REGIONS)[0] ?? 0;
  }

  private propose(members: readonly Disk[], bases: readonly MembershipRecord[]): void {
    const names = sortedMembers(members.map((disk) => disk.name));
    const record = { epoch: this.epoch, count: ++this.count, members: names, ...LAYOUT, bases: [], decided: false };
    if (agreementFor(new Set(names), bases, 'running') === 'ask') this.known = record;
    for (const disk of members) {
      disk.record = record;
      disk.keptMemory = true;
      disk.hostRestarted = false;
    }
    this.members = [...members];
  }

  private lost(disk: Disk): void {
    if (!this.live || !this.members.includes(disk)) return;
    const rest = this.members.filter((member) => member !== disk);
    if (rest.length === 0) return this.stop();
    this.propose(rest, [this.activeRecord()]);
  }

  private activeRecord(): MembershipRecord {
    const record = newestRecord(this.members.map((disk) => disk.record));
    if (!record) throw new Error('no active record');
    return record;
  }

  private restartProcess(disk: Disk): void {
    if (!disk.up) return;
    disk.list = 0;
    disk.keptMemory = false;
    this.lost(disk);
  }

  private cutPower(disk: Disk): void {
    if (!disk.up) return;
    this.loseCache(disk);
    disk.up = false;
    if (this.live && this.members.length === 1 && this.members[0] === disk) {
      if (this.without === 'errorAfterLoss') this.stop();
      else this.fail();
    }
    this.lost(disk);
  }

  private cutPowerEverywhere(): void {
    for (const disk of this.disks) {
      this.loseCache(disk);
      disk.up = this.random.chance(0.7);
    }
    this.stop();
    this.sessionLive = false;
    this.lastRead.fill(null);
  }

  private loseCache(disk: Disk): void {
    disk.file = [...disk.synced];
    disk.list = 0;
    disk.keptMemory = false;
    disk.hostRestarted = true;
  }

  private stop(): void {
    this.live = false;
    this.members = [];
    this.doubt = new Map();
  }

  private fail(): void {
    this.sessionLive = false;
    this.stats.errors++;
    this.stop();
    this.attachAnew();
  }

  /** The user has seen an error, or no device at all, and mounts anew: writes that were not flushed may be gone. */
  private attachAnew(): void {
    this.lastRead.fill(null);
    for (let region = 0; region < REGIONS; region++) this.acked[region] = this.flushed[region] ?? 0;
  }

  private settle(region: number): void {
    const chosen = this.doubt.get(region);
    if (!chosen) return;
    this.doubt.delete(region);
    const source = this.members.includes(chosen) ? chosen : this.random.pick(this.members);
    for (const disk of this.members) {
      disk.file[region] = source.file[region] ?? 0;
      disk.list |= 1 << region;
    }
  }

  private write(): void {
    const region = this.random.below(REGIONS);
    const value = ++this.writes;
    this.doubt.delete(region); // a whole region is written here
    const dies = this.random.chance(0.15);
    for (const disk of this.random.shuffle(this.members)) {
      if (dies && this.random.chance(0.5)) continue;
      disk.file[region] = value;
      disk.list |= 1 << region;
      if (this.random.chance(0.2)) disk.synced[region] = value; // writeback by itself
    }
    if (dies) {
      this.stop();
      this.lastRead[region] = null;
      return;
    }
    this.acked[region] = value;
    this.lastRead[region] = value;
  }

  private flush(): void {
    for (const region of this.doubt.keys()) if (this.random.chance(0.5)) this.settle(region);
    for (const disk of this.members) disk.synced = [...disk.file];
    for (let region = 0; region < REGIONS; region++) {
      this.flushed[region] = Math.max(this.flushed[region] ?? 0, this.acked[region] ?? 0);
    }
    this.stats.flushes++;
    let keep = 0;
    if (this.without !== 'keepDoubt') for (const region of this.doubt.keys()) keep |= 1 << region;
    for (const disk of this.members) disk.list &= keep;
  }

  private rebuildOne(): void {
    const out = this.disks.filter((disk) => disk.up && !this.members.includes(disk));
    if (out.length === 0) return;
    const joiner = this.random.pick(out);
    for (const region of this.doubt.keys()) this.settle(region);
    const [source] = this.members;
    if (!source) throw new Error('a live device without members');
    joiner.file = [...source.file];
    joiner.list = source.list;
    if (this.without !== 'syncBeforeJoin') joiner.synced = [...joiner.file];
    this.propose([...this.members, joiner], [this.activeRecord()]);
  }

  private read(): string | null {
    const region = this.random.below(REGIONS);
    this.settle(region);
    const value = this.random.pick(this.members).file[region] ?? 0;
    this.stats.reads++;
    const flushed = this.flushed[region] ?? 0;
    if (value < flushed) return `${this.label}: region ${region} reads ${value}, flushed was ${flushed}`;
    const last = this.lastRead[region] ?? null;
    if (last !== null && value !== last) return `${this.label}: region ${region} reads ${value} after ${last}`;
    this.lastRead[region] = value;
    this.acked[region] = value;
    return null;
  }
}

function seenOf(disk: Disk, hideCold: boolean): SeenReplica {
  return {
    name: disk.name,
    record: disk.record,
    keptMemory: disk.keptMemory,
    hostRestarted: disk.hostRestarted && !hideCold,
    ...LAYOUT,
  };
}
