/**
 * Members that come and go. What guarantees that none is missed: a member that comes is sent what is not answered by all, in the
 * order of the others; of one that goes no answer is waited for, and its reads are sent to another.
 */
import type { MemberRole } from './core-api.ts';
import { EIO } from './errno.ts';
import type { MemberFailure, MemberLink } from './member-link.ts';
import type { Member } from './member-set.ts';
import type { OpRunner } from './op-runner.ts';
import * as Op from './op-table.ts';

export class MemberChanges {
  private readonly runner: OpRunner;

  constructor(runner: OpRunner) {
    this.runner = runner;
  }

  add(link: MemberLink, role: MemberRole): Member {
    const { runner } = this;
    // What is gathered was counted for the members before.
    runner.sender.sendAll();
    const member = runner.members.add(link, role, runner.now());
    link.start({
      answered: (seq, answer, text) => runner.onAnswer(member, seq, answer, text),
      pinged: (sentAtMs) => {
        if (sentAtMs > member.proofMs) member.proofMs = sentAtMs;
        if (runner.waiting.head !== 0 || runner.answeredCount > 0) runner.kick();
        runner.finish();
      },
      answersEnd: () => runner.finish(),
      failed: (failure) => {
        this.fail(member, failure);
        runner.finish();
      },
    });
    runner.members.forgetReader();
    if (role === 'reading') runner.doubt.restoreMissed(runner.nextOrder);
    this.sendAgainTo(member);
    runner.recompute();
    runner.kick();
    return member;
  }

  /**
   * What a returning member may lack is sent to it, in the order in which the others got it: what is not answered by
   * all, and what it missed between its failure and now. Nothing older: a later write of the same place may be acknowledged.
   * (One that joins gets what is answered by the copy.)
   */
  private sendAgainTo(member: Member): void {
    const { runner } = this;
    const { ops } = runner;
    const isChange = (i: number): boolean => {
      const kind = ops.kind[i];
      if (((ops.flags[i] as number) & Op.FLAG_COPY) !== 0 || ops.errno[i] !== 0) return false;
      if (kind === Op.KIND_ROUND) return member.link.canFlush;
      return kind === Op.KIND_WRITE || kind === Op.KIND_UNMAP;
    };
    const again: number[] = [];
    for (const i of ops.inOrder(isChange)) {
      const state = ops.state[i];
      const isRound = ops.kind[i] === Op.KIND_ROUND;
      const wasMissed = state === Op.STATE_ANSWERED && (isRound || ((ops.flags[i] as number) & Op.FLAG_MISSED) !== 0);
      if (state !== Op.STATE_SENT && !wasMissed) continue;
      if (wasMissed) runner.answeredCount--;
      if (!member.link.isOrdered && state !== Op.STATE_SENT && !isRound) {
        // It does not keep order: these are sent to all once more, one after the other as far as they overlap.
        ops.renumber(i);
        ops.progress[i] = 0;
        again.push(i);
        continue;
      }
      ops.state[i] = Op.STATE_SENT;
      ops.pending[i] = (ops.pending[i] as number) | member.bit;
      if (isRound) ops.targets[i] = (ops.targets[i] as number) | member.bit;
      member.link.expectAnswer(ops.seq[i] as number);
      runner.sender.addChange(member.lane, i);
    }
    runner.waiting.prepend(again);
  }

  /** A member that failed: it is out, and the control side is told, unless that has taken it out before it could be. */
  fail(member: Member, failure: MemberFailure): void {
    const { runner } = this;
    if (!runner.members.active.includes(member)) return;
    if (member.role === 'reading') {
      runner.members.failed.push(member);
      runner.doubt.noteMissed();
    }
    this.drop(member);
    runner.call(() => {
      if (member.role === 'reading' && !runner.members.failed.includes(member)) return;
      runner.options.onMemberFailed(member.id, failure, member.role);
    });
  }

  /** Nothing more is sent to it and nothing waits for its answers. */
  drop(member: Member): void {
    const { runner } = this;
    const { ops } = runner;
    member.link.close();
    runner.members.drop(member);
    runner.recompute();
    for (let i = 1; i < ops.high; i++) {
      // Its bit will be another member's.
      if (((ops.noSpace[i] as number) & member.bit) !== 0) ops.flags[i] = (ops.flags[i] as number) | Op.FLAG_MISSED;
      ops.noSpace[i] = (ops.noSpace[i] as number) & ~member.bit;
      ops.targets[i] = (ops.targets[i] as number) & ~member.bit;
      if (ops.state[i] !== Op.STATE_SENT || ((ops.pending[i] as number) & member.bit) === 0) continue;
      ops.pending[i] = (ops.pending[i] as number) & ~member.bit;
      if (ops.kind[i] !== Op.KIND_READ) {
        if (member.role === 'reading') ops.flags[i] = (ops.flags[i] as number) | Op.FLAG_MISSED;
        if (ops.pending[i] === 0) runner.allAnswered(i);
      } else if (((ops.flags[i] as number) & Op.FLAG_COPY) !== 0) {
        runner.complete(i, EIO);
      } else {
        // Back to the beginning: a pause need not wait for it.
        ops.flags[i] = (ops.flags[i] as number) & ~Op.FLAG_STARTED;
        runner.inFlight--;
        ops.renumber(i);
        runner.waiting.append(i);
      }
    }
    runner.kick();
  }
}
