/** The disk behind a target, as all its connections share it: reservations, locked ranges, and what each nexus is to be told. */
import type { BlockTarget } from '../frontend.ts';
import { SENSE } from '../../protocol/scsi.ts';
import { ISCSI_UNIT_ATTENTIONS_MAX, SECTOR_BYTES } from './limits.ts';
import { RangeLocks, type WriteHolder } from './range-locks.ts';
import { type NexusName, Reservations } from './reservations.ts';
import { VolumeIo } from './volume-io.ts';

/** An initiator port that is logged in. */
export interface Nexus extends NexusName {
  /** Unit attentions that it has not been told, oldest first. */
  readonly attentions: number[];
}

export interface UnitConnection extends WriteHolder {
  /** null: not logged in to the disk */
  readonly nexus: Nexus | null;
  /** Ends all tasks without an answer; calls `ended` when none is left. */
  abortTasks(ended: () => void): void;
}

export class LogicalUnit {
  readonly target: BlockTarget;
  readonly targetName: string;
  readonly io: VolumeIo;
  readonly connections = new Set<UnitConnection>();
  readonly locks: RangeLocks;
  readonly reservations: Reservations;

  constructor(target: BlockTarget, targetName: string) {
    this.target = target;
    this.targetName = targetName;
    this.io = new VolumeIo(target);
    this.locks = new RangeLocks(this.connections);
    this.reservations = new Reservations((id, sense) => this.attendTo(id, sense));
  }

  get blocks(): number {
    return Math.floor(this.target.sizeBytes() / SECTOR_BYTES);
  }

  /** Whether a range of blocks lies inside of the disk. */
  has(lba: number, blocks: number): boolean {
    return lba + blocks <= this.blocks;
  }

  /** A nexus that has just logged in, told so by its first command's unit attention. */
  enter(initiatorName: string, isid: string): Nexus {
    return { id: `${initiatorName},i,0x${isid}`, initiatorName, isid, attentions: [SENSE.POWER_ON] };
  }

  /** All nexuses learn something. */
  attend(sense: number): void {
    for (const { nexus } of this.connections) {
      if (nexus !== null) addAttention(nexus, sense);
    }
  }

  /** The unit is reset: tasks of all connections end, and with them what RESERVE(6) gave. Every nexus learns of it. */
  reset(ended: () => void): void {
    this.reservations.dropReserve6(null);
    this.attend(SENSE.RESET_OCCURRED);
    this.abortTasksOf([...this.connections], ended);
  }

  /** Ends the tasks of nexuses whose registration was preempted. */
  abortTasksOf(connections: readonly UnitConnection[], ended: () => void): void {
    let left = connections.length;
    if (left === 0) ended();
    for (const connection of connections) {
      connection.abortTasks(() => {
        if (--left === 0) ended();
      });
    }
  }

  private attendTo(id: string, sense: number): void {
    for (const { nexus } of this.connections) {
      if (nexus?.id === id) addAttention(nexus, sense);
    }
  }
}

function addAttention({ attentions }: Nexus, sense: number): void {
  if (attentions.includes(sense) || attentions.length >= ISCSI_UNIT_ATTENTIONS_MAX) return;
  attentions.push(sense);
}
