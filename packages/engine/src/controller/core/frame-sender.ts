/**
 * Frames of operations on their way to members: laid into lanes as operations are sent, and sent as one batch. What goes to
 * all members is laid down once; what goes to some, into the lanes of these.
 */
import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { FRAME_FLUSH, FRAME_READ, FRAME_UNMAP, FRAME_WRITE } from '../../protocol/replica-frame.ts';
import { FrameLane } from './frame-lane.ts';
import type { Member } from './member-set.ts';
import type { OpRunner } from './op-runner.ts';
import * as Op from './op-table.ts';

export class FrameSender {
  private readonly runner: OpRunner;
  private readonly lane: FrameLane;

  constructor(runner: OpRunner) {
    this.runner = runner;
    const { limits } = runner.options;
    this.lane = new FrameLane(limits.gatherBufferBytes, limits.gatherPayloadMax);
  }

  /** Sends a read to one member; null: to the one that is to serve it. */
  sendRead(i: number, from: Member | null): void {
    const ops = this.runner.ops;
    const member = from ?? this.runner.members.pickReader();
    assert(member !== null, 'a read is sent only while a member serves reads');
    this.runner.begin(i);
    ops.state[i] = Op.STATE_SENT;
    ops.pending[i] = member.bit;
    ops.sentAtMs[i] = this.runner.now();
    member.readsInFlight++;
    const seq = ops.seq[i] as number;
    const offset = ops.offset[i] as number;
    const length = ops.length[i] as number;
    member.link.expectData(seq, ops.buffer[i] as Buffer, ops.start[i] as number, length);
    member.lane.addHeader(seq, FRAME_READ, offset, length);
  }

  /** Sends a write, the next piece of an unmap, or a flush round to the members that it concerns; false: there is none. */
  sendChange(i: number): boolean {
    const ops = this.runner.ops;
    this.runner.begin(i);
    ops.state[i] = Op.STATE_SENT;
    ops.sentAtMs[i] = this.runner.now();
    if (this.runner.members.failed.length > 0) ops.flags[i] = (ops.flags[i] as number) | Op.FLAG_MISSED;
    const targets = ops.targets[i] as number;
    const mask = targets === 0 ? this.runner.members.allMask : targets & this.runner.members.allMask;
    ops.pending[i] = mask;
    const seq = ops.seq[i] as number;
    const active = this.runner.members.active;
    for (let k = 0; k < active.length; k++) {
      const member = active[k] as Member;
      if ((member.bit & mask) !== 0) member.link.expectAnswer(seq);
    }
    if (mask === 0) return false;
    if (mask === this.runner.members.allMask) {
      this.addChange(this.lane, i);
    } else {
      for (const member of active) if ((member.bit & mask) !== 0) this.addChange(member.lane, i);
    }
    return true;
  }

  /** Adds the frame of a change to what is sent next over a lane. */
  addChange(lane: FrameLane, i: number): void {
    const ops = this.runner.ops;
    const seq = ops.seq[i] as number;
    const offset = ops.offset[i] as number;
    const length = ops.length[i] as number;
    const kind = ops.kind[i] as number;
    if (kind === Op.KIND_WRITE) {
      const headroom = ops.headroom[i] as number;
      lane.addPayload(seq, FRAME_WRITE, offset, ops.buffer[i] as Buffer, ops.start[i] as number, length, headroom);
    } else if (kind === Op.KIND_UNMAP) {
      const done = ops.progress[i] as number;
      const piece = Math.min(length - done, this.runner.options.limits.unmapPieceBytes);
      lane.addHeader(seq, FRAME_UNMAP, offset + done, piece);
    } else {
      lane.addHeader(seq, FRAME_FLUSH, 0, 0);
    }
  }

  /** Sends what was gathered: one socket write for each member. */
  sendAll(): void {
    const lane = this.lane;
    const hasShared = !lane.isEmpty();
    let isUnsent = false;
    if (hasShared) lane.close();
    const active = this.runner.members.active;
    for (let k = 0; k < active.length; k++) {
      const member = active[k] as Member;
      const own = member.lane;
      const hasOwn = !own.isEmpty();
      if (hasOwn) {
        own.close();
        member.link.send(own.pieces, own.count, hasShared);
      }
      if (hasShared) member.link.send(lane.pieces, lane.count, false);
      else if (!hasOwn) continue;
      const hasUnsent = member.link.hasUnsent();
      if (hasOwn) own.sent(hasUnsent);
      if (hasUnsent) isUnsent = true;
    }
    if (hasShared) lane.sent(isUnsent);
  }
}
