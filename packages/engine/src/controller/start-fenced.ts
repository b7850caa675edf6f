/**
 * Starts an engine that has an epoch: opens replicas, asks the rules, writes the first record of its epoch, serves.
 *
 *     open all -> decideStart -> wait: try again, with every address that is known
 *                             -> ask: the control plane's word first
 *                             -> serve: connect, collect doubt, hand it down, write the record, serve
 *
 * Anything that fails on the way leads back to opening; every proposal has a generation of its own.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { decideStart, type StartDecision } from '../membership/start.ts';
import { generationText, type MembershipRecord } from '../membership/record.ts';
import { fencingEpoch } from './backends.ts';
import { RETRY_MS, START_GRACE_MS, START_RETRY_MS } from './control-limits.ts';
import type { MemberLink } from './core/member-link.ts';
import { collectDoubt, inheritDoubt, type DoubtSettling } from './doubt-settling.ts';
import type { MembershipKeeper } from './membership-keeper.ts';
import { attach, newEntry, openFenced, refuse } from './replica-entry.ts';
import { readReport, seenReplica } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import { pushSettings } from './volume-settings.ts';
import type { VolumeContext } from './volume-context.ts';

type ServeDecision = Extract<StartDecision, { kind: 'serve' }>;

export class FencedStart {
  private readonly context: VolumeContext;
  private readonly keeper: MembershipKeeper;
  private readonly settling: DoubtSettling;
  /** entries that this engine has opened with its epoch */
  private readonly opened = new Set<ReplicaEntry>();
  private running = false;
  private readonly begunMs: number;
  private attempts: (() => void)[] = [];

  constructor(context: VolumeContext, keeper: MembershipKeeper, settling: DoubtSettling) {
    this.context = context;
    this.keeper = keeper;
    this.settling = settling;
    this.begunMs = context.clock.nowMs();
  }

  /** Adds addresses and tries with all that are known; resolves after the next attempt, whatever it brought. */
  async tryWith(addresses: readonly string[]): Promise<void> {
    const { context } = this;
    for (const address of addresses) {
      if (!context.replicas.get(address)) context.replicas.add(newEntry(context, address));
    }
    if (context.replicas.size === 0 || context.isOver()) return;
    const attempt = new Promise<void>((resolve) => {
      this.attempts.push(resolve);
    });
    if (!this.running) {
      this.running = true;
      this.run().catch(context.crash);
    }
    context.memberEvents.wake();
    await attempt;
  }

  private async run(): Promise<void> {
    const { context } = this;
    try {
      while (!context.isOver()) {
        const waiting = this.attempts;
        this.attempts = [];
        const isServing = await context.memberLock.run(() => this.attempt());
        for (const resolve of waiting) resolve();
        if (isServing || context.isOver()) return;
        this.failWhenHeldTooLong();
        await context.memberEvents.sleep(this.isYoung() ? START_RETRY_MS : RETRY_MS);
      }
    } finally {
      this.running = false;
      for (const resolve of this.attempts) resolve();
      this.attempts = [];
    }
  }

  /** True once the volume is served. */
  private async attempt(): Promise<boolean> {
    const { context } = this;
    await this.openAll();
    if (context.isOver()) return false;
    const decision = this.decide();
    if (decision.kind === 'fail') {
      context.fail(decision.reason);
      return false;
    }
    if (decision.kind === 'wait') {
      context.io.set('waiting', this.withFailures(decision.reason));
      return false;
    }
    const late = this.mayStillCome(decision);
    if (late.length > 0) {
      context.io.set('waiting', `Waiting a moment for ${late.join(', ')}, so that they need no rebuild.`);
      return false;
    }
    try {
      return await this.serve(decision);
    } catch (error) {
      context.io.set('waiting', `Starting with ${decision.members.join(', ')} failed: ${errorText(error)}`);
      context.log.warn('the start did not succeed, trying again', { reason: errorText(error) });
      return false;
    }
  }

  private isYoung(): boolean {
    return this.context.clock.nowMs() - this.begunMs <= START_GRACE_MS;
  }

  /** Members that are not there yet, while the engine has only begun: replicas are started at the same time as it. */
  private mayStillCome({ bases }: ServeDecision): string[] {
    if (!this.isYoung()) return [];
    const away = this.context.replicas.inStage('opening').filter((entry) => !this.opened.has(entry));
    if (away.length === 0) return [];
    const names = new Set([...this.opened].map((entry) => entry.name));
    return [...new Set(bases.flatMap((base) => base.members))].filter((name) => !names.has(name));
  }

  private decide(): StartDecision {
    const { epoch, known, deviceLive } = this.context.options;
    const seen = [...this.opened].flatMap((entry) => (entry.report ? [seenReplica(entry.name, entry.report)] : []));
    return decideStart({ epoch, seen, known, deviceLive });
  }

  private async openAll(): Promise<void> {
    const { context } = this;
    await Promise.all(
      context.replicas.inStage('opening').map(async (entry) => {
        try {
          await openFenced(context, entry);
          if (!this.opened.has(entry)) this.refuseDoubleName(entry);
          this.opened.add(entry);
          entry.reason = '';
        } catch (error) {
          this.opened.delete(entry);
          entry.reason = errorText(error);
          const higher = fencingEpoch(entry.reason);
          if (higher === null) return;
          context.fence(
            higher,
            `Another engine of this volume was started: replica ${entry.name} knows epoch ${higher}.`,
          );
        }
      }),
    );
  }

  /** Two addresses of one replica would count twice. */
  private refuseDoubleName(entry: ReplicaEntry): void {
    for (const other of this.opened) {
      if (other !== entry && other.name === entry.name) {
        throw new Error(`replica ${entry.name} is already connected as ${other.address}`);
      }
    }
  }

  private withFailures(reason: string): string {
    const failures = this.context.replicas.inStage('opening').filter((entry) => entry.reason !== '');
    if (failures.length === 0) return reason;
    return `${reason} (${failures.map((entry) => `${entry.address}: ${entry.reason}`).join('; ')})`;
  }

  /** Throws when a member drops out on the way; the next attempt decides anew. */
  private async serve(decision: ServeDecision): Promise<boolean> {
    const { context, keeper } = this;
    const members = this.entriesOf(decision.members);
    const used = [...this.opened].map((entry) => entry.report?.record ?? null);
    keeper.startFrom(decision.bases, [...used, context.options.known]);
    const record = keeper.next(decision.members, decision.layout);
    const mustAsk = decision.agreement === 'ask' || keeper.mustAsk;
    if (mustAsk && !(await this.confirmed(record))) return false;
    const doubt = await collectDoubt(context, members, decision.layout.sizeBytes);
    await inheritDoubt(context, members, doubt);
    await this.clearRebuilding(members);
    const links = await this.connect(members);
    const failures = await keeper.write(record, members);
    const [failure] = failures;
    if (failure || context.isOver()) {
      for (const link of links) link.close();
      if (!failure) return false;
      this.opened.delete(failure.entry);
      throw new Error(`${failure.entry.name} did not store the record: ${errorText(failure.error)}`);
    }
    await this.begin(decision, record, members, links, doubt);
    return true;
  }

  private async begin(
    decision: ServeDecision,
    record: MembershipRecord,
    members: readonly ReplicaEntry[],
    links: readonly MemberLink[],
    doubt: Uint8Array,
  ): Promise<void> {
    const { context, keeper } = this;
    await context.core.pause();
    context.core.setSize(decision.layout.sizeBytes);
    context.layout = decision.layout;
    keeper.activate(record);
    for (const [index, entry] of members.entries()) {
      const link = links[index];
      if (!link) throw new Error('a member without a connection');
      attach(context, entry, link, 'reading');
    }
    for (const entry of context.replicas.inStage('opening')) {
      const reason = decision.leftOut.find((left) => left.name === entry.name)?.reason ?? entry.reason;
      refuse(entry, reason === '' ? 'it could not be reached' : reason);
    }
    this.settling.begin(doubt);
    context.core.resume();
    context.io.set('serving', '');
    context.log.info('serving', { generation: generationText(record), members: record.members.join(',') });
    context.changed();
    keeper.commit(members).catch(context.crash);
    await pushSettings(context);
  }

  /** Waits a moment for the control plane's word; meanwhile further replicas may turn up, so the caller tries anew without it. */
  private async confirmed(record: MembershipRecord): Promise<boolean> {
    const { context, keeper } = this;
    const members = record.members.join(', ');
    context.io.set(
      'waiting',
      this.withFailures(
        `Starting with ${members} needs the control plane's confirmation (generation ${generationText(record)}).`,
      ),
    );
    keeper.ask(record);
    try {
      while (!context.isOver()) {
        const answer = keeper.answer();
        if (answer?.confirmed) return true;
        if (answer) {
          context.fence(0, `The control plane refused generation ${generationText(record)}: ${answer.reason}`);
          return false;
        }
        this.failWhenHeldTooLong();
        await context.memberEvents.sleep(RETRY_MS);
        if (keeper.answer() === null && (await this.somebodyElseTurnedUp())) return false;
      }
      return false;
    } finally {
      keeper.withdraw();
    }
  }

  private async somebodyElseTurnedUp(): Promise<boolean> {
    const before = this.opened.size;
    const away = this.context.replicas.inStage('opening').filter((entry) => !this.opened.has(entry));
    if (away.length === 0) return false;
    await this.openAll();
    return this.opened.size !== before;
  }

  private entriesOf(names: readonly string[]): ReplicaEntry[] {
    return names.map((name) => {
      const entry = [...this.opened].find((candidate) => candidate.name === name);
      if (!entry) throw new Error(`replica ${name} is not open`);
      return entry;
    });
  }

  private async connect(members: readonly ReplicaEntry[]): Promise<MemberLink[]> {
    const { context } = this;
    const outcomes = await Promise.allSettled(
      members.map(async (entry) => {
        if (!entry.report) throw new Error('not open');
        return context.backends.openLink(entry.address, entry.report, context.options.epoch);
      }),
    );
    const links = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    if (links.length === members.length) return links;
    for (const link of links) link.close();
    const failed = outcomes.findIndex((outcome) => outcome.status === 'rejected');
    const outcome = outcomes[failed];
    const entry = members[failed];
    if (entry) this.opened.delete(entry);
    throw new Error(
      `${entry?.name ?? ''}: ${outcome?.status === 'rejected' ? errorText(outcome.reason) : 'not connected'}`,
    );
  }

  /** A member whose rebuild ended with its record, but before its mark was removed. */
  private async clearRebuilding(members: readonly ReplicaEntry[]): Promise<void> {
    const timeoutMs = this.context.options.replicaTimeoutMs;
    await Promise.all(
      members.map(async (entry) => {
        if (!entry.report?.rebuilding) return;
        const { replica } = await entry.client.RebuildingSet({ rebuilding: false }, { timeoutMs });
        entry.report = readReport(replica);
      }),
    );
  }

  /** Only a device in use has I/O that is held; without one the engine waits for as long as it takes. */
  private failWhenHeldTooLong(): void {
    const { context } = this;
    const { deviceLive, ioHoldTimeoutMs } = context.options;
    if (!deviceLive || ioHoldTimeoutMs === 0 || context.io.state !== 'waiting') return;
    if (context.clock.nowMs() - context.io.sinceMs < ioHoldTimeoutMs) return;
    context.fail(`I/O was held for ${ioHoldTimeoutMs / 1000} s. ${context.io.reason}`);
  }
}
