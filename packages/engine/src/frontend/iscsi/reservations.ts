/**
 * Reservations of the logical unit (SPC-4, 5.13): RESERVE(6), and persistent ones by key. They belong to I_T nexuses, which are
 * named by initiator and ISID, so that a session that comes back finds what it had. They live as long as the frontend: what
 * wants to outlive it (APTPL) is refused, not forgotten.
 */
import { Buffer } from 'node:buffer';
import { SENSE, STATUS_RESERVATION_CONFLICT } from '../../protocol/scsi.ts';
import { type CommandResult, done, failed } from './command-result.ts';
import { REGISTRATIONS_MAX } from './limits.ts';

export interface NexusName {
  /** initiator and ISID */
  readonly id: string;
  readonly initiatorName: string;
  readonly isid: string;
}

/** Tells a nexus, if it is there, of something by a unit attention. */
export type Notify = (nexusId: string, sense: number) => void;

interface Registration {
  key: bigint;
  readonly nexus: NexusName;
}

/** What a command does, as reservations see it; `ready` is refused by RESERVE(6) alone, `any` by none. */
export type Access = 'read' | 'write' | 'settings' | 'ready' | 'any';

const WRITE_EXCLUSIVE = 1;
const EXCLUSIVE_ACCESS = 3;
const WRITE_EXCLUSIVE_REGISTRANTS = 5;
const EXCLUSIVE_ACCESS_REGISTRANTS = 6;
const WRITE_EXCLUSIVE_ALL = 7;
const EXCLUSIVE_ACCESS_ALL = 8;
const TYPES = new Set([
  WRITE_EXCLUSIVE,
  EXCLUSIVE_ACCESS,
  WRITE_EXCLUSIVE_REGISTRANTS,
  EXCLUSIVE_ACCESS_REGISTRANTS,
  WRITE_EXCLUSIVE_ALL,
  EXCLUSIVE_ACCESS_ALL,
]);
const isForAll = (type: number): boolean => type === WRITE_EXCLUSIVE_ALL || type === EXCLUSIVE_ACCESS_ALL;
const isWriteExclusive = (type: number): boolean =>
  type === WRITE_EXCLUSIVE || type === WRITE_EXCLUSIVE_REGISTRANTS || type === WRITE_EXCLUSIVE_ALL;

const PARAMETER_BYTES = 24;
const CONFLICT: CommandResult = { ...done(), status: STATUS_RESERVATION_CONFLICT };

export class Reservations {
  private readonly notify: Notify;
  private readonly registrations = new Map<string, Registration>();
  private generation = 0;
  private type = 0;
  /** With a type for all registrants, nobody in particular. */
  private holder: string | null = null;
  /** Holder of a RESERVE(6). */
  private reservedBy: string | null = null;

  constructor(notify: Notify) {
    this.notify = notify;
  }

  /** Whether a command of this nexus has to be refused; cheap when nothing is reserved. */
  isConflict(nexusId: string, access: Access): boolean {
    if (this.reservedBy !== null) return this.reservedBy !== nexusId && access !== 'any';
    if (this.type === 0 || access === 'any' || access === 'ready') return false;
    if (access === 'settings') return !this.registrations.has(nexusId);
    if (access === 'read' && isWriteExclusive(this.type)) return false;
    const isSingle = this.type === WRITE_EXCLUSIVE || this.type === EXCLUSIVE_ACCESS;
    return isSingle ? this.holder !== nexusId : !this.registrations.has(nexusId);
  }

  // RESERVE(6) and RELEASE(6)

  reserve6(nexusId: string): CommandResult {
    if (this.registrations.size > 0) return CONFLICT;
    if (this.reservedBy !== null && this.reservedBy !== nexusId) return CONFLICT;
    this.reservedBy = nexusId;
    return done();
  }

  release6(nexusId: string): CommandResult {
    if (this.registrations.size > 0) return CONFLICT;
    if (this.reservedBy === nexusId) this.reservedBy = null;
    return done();
  }

  /** The nexus is lost, or the unit reset (null): what RESERVE(6) gave is over. */
  dropReserve6(nexusId: string | null): void {
    if (nexusId === null || this.reservedBy === nexusId) this.reservedBy = null;
  }

  // PERSISTENT RESERVE IN

  readIn(action: number): Buffer | null {
    switch (action) {
      case 0:
        return this.listed([...this.registrations.values()].map(({ key }) => keyBytes(key)));
      case 1:
        return this.listed(this.type === 0 ? [] : [this.reservationDescriptor()]);
      case 2:
        // Types: WE, EA, WE and EA for registrants, and for all registrants; nothing persists through power loss.
        return Buffer.from([0, 8, 0x00, 0x80, 0xea, 0x01, 0, 0]);
      case 3:
        return this.listed([...this.registrations.values()].map((registration) => this.fullStatus(registration)));
      default:
        return null;
    }
  }

  private listed(parts: Buffer[]): Buffer {
    const data = Buffer.concat(parts);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(this.generation, 0);
    head.writeUInt32BE(data.length, 4);
    return Buffer.concat([head, data]);
  }

  private reservationDescriptor(): Buffer {
    const descriptor = Buffer.alloc(16);
    const key = this.holder === null ? 0n : (this.registrations.get(this.holder)?.key ?? 0n);
    descriptor.writeBigUInt64BE(key, 0);
    descriptor[13] = this.type;
    return descriptor;
  }

  private fullStatus({ key, nexus }: Registration): Buffer {
    const name = Buffer.from(`${nexus.initiatorName},i,0x${nexus.isid}\0`, 'utf8');
    const transportBytes = 4 + ((name.length + 3) & ~3);
    const status = Buffer.alloc(24 + transportBytes);
    status.writeBigUInt64BE(key, 0);
    if (this.isHolder(nexus.id)) {
      status[12] = 0x01;
      status[13] = this.type;
    }
    status.writeUInt16BE(1, 18);
    status.writeUInt32BE(transportBytes, 20);
    status[24] = 0x45;
    status.writeUInt16BE(transportBytes - 4, 26);
    name.copy(status, 28);
    return status;
  }

  // PERSISTENT RESERVE OUT

  /** `removed` gets the nexuses whose registration was preempted. */
  writeOut(nexus: NexusName, cdb: Buffer, data: Buffer, removed: string[]): CommandResult {
    const action = (cdb[1] as number) & 0x1f;
    if (this.reservedBy !== null && this.reservedBy !== nexus.id) return CONFLICT;
    if (action > 6) return failed(SENSE.INVALID_FIELD_IN_CDB);
    if (cdb.readUInt32BE(5) !== PARAMETER_BYTES) return failed(SENSE.PARAMETER_LIST_LENGTH);
    if (data.length < PARAMETER_BYTES) return failed(SENSE.INVALID_FIELD_IN_UNIT);
    const key = data.readBigUInt64BE(0);
    const actionKey = data.readBigUInt64BE(8);
    const flags = data[20] as number;
    if (action === 0 || action === 6) {
      // SPEC_I_PT and APTPL; ALL_TG_PT says nothing with one port.
      if ((flags & 0x09) !== 0) return failed(SENSE.INVALID_FIELD_IN_PARAMETERS);
      return this.register(nexus, key, actionKey, action === 6);
    }
    const own = this.registrations.get(nexus.id);
    if (own === undefined || own.key !== key) return CONFLICT;
    const scope = (cdb[2] as number) >> 4;
    const type = (cdb[2] as number) & 0x0f;
    if (action !== 3 && action !== 2 && (scope !== 0 || !TYPES.has(type))) return failed(SENSE.INVALID_FIELD_IN_CDB);
    switch (action) {
      case 1:
        return this.reserve(nexus.id, type);
      case 2:
        return this.release(nexus.id, scope, type);
      case 3:
        return this.clear(nexus.id);
      default:
        return this.preempt(nexus.id, actionKey, type, removed);
    }
  }

  private register(nexus: NexusName, key: bigint, newKey: bigint, ignoresKey: boolean): CommandResult {
    const own = this.registrations.get(nexus.id);
    if (!ignoresKey && key !== (own?.key ?? 0n)) return CONFLICT;
    if (newKey === 0n) {
      if (own !== undefined) this.unregister(nexus.id);
    } else if (own !== undefined) {
      own.key = newKey;
    } else {
      if (this.registrations.size >= REGISTRATIONS_MAX) return failed(SENSE.INSUFFICIENT_REGISTRATION);
      this.registrations.set(nexus.id, { key: newKey, nexus });
    }
    this.generation = (this.generation + 1) >>> 0;
    return done();
  }

  private unregister(id: string): void {
    const wasHolder = this.isHolder(id);
    const { type } = this;
    this.registrations.delete(id);
    if (!wasHolder || (isForAll(type) && this.registrations.size > 0)) return;
    this.endReservation();
    if (type === WRITE_EXCLUSIVE_REGISTRANTS || type === EXCLUSIVE_ACCESS_REGISTRANTS) {
      this.notifyOthers(id, SENSE.RESERVATIONS_RELEASED);
    }
  }

  private reserve(id: string, type: number): CommandResult {
    if (this.type !== 0) return this.isHolder(id) && this.type === type ? done() : CONFLICT;
    this.type = type;
    this.holder = isForAll(type) ? null : id;
    return done();
  }

  private release(id: string, scope: number, type: number): CommandResult {
    if (this.type === 0 || !this.isHolder(id)) return done();
    if (scope !== 0 || type !== this.type) return failed(SENSE.INVALID_RELEASE);
    this.endReservation();
    if (type !== WRITE_EXCLUSIVE && type !== EXCLUSIVE_ACCESS) this.notifyOthers(id, SENSE.RESERVATIONS_RELEASED);
    return done();
  }

  private clear(id: string): CommandResult {
    this.notifyOthers(id, SENSE.RESERVATIONS_PREEMPTED);
    this.registrations.clear();
    this.endReservation();
    this.generation = (this.generation + 1) >>> 0;
    return done();
  }

  private preempt(id: string, victim: bigint, type: number, removed: string[]): CommandResult {
    const isAll = this.type !== 0 && this.holder === null;
    const takesOver =
      this.type !== 0 && (isAll ? victim === 0n : this.registrations.get(this.holder ?? '')?.key === victim);
    if (victim === 0n && !isAll) return failed(SENSE.INVALID_FIELD_IN_PARAMETERS);
    const victims = [...this.registrations.values()].filter(({ key }) => (isAll && victim === 0n) || key === victim);
    if (victims.length === 0) return CONFLICT;
    const oldType = this.type;
    for (const { nexus } of victims) {
      if (nexus.id === id && takesOver) continue;
      this.registrations.delete(nexus.id);
      if (nexus.id === id) continue;
      removed.push(nexus.id);
      this.notify(nexus.id, SENSE.REGISTRATIONS_PREEMPTED);
    }
    if (takesOver) {
      this.type = type;
      this.holder = isForAll(type) ? null : id;
      if (type !== oldType) this.notifyOthers(id, SENSE.RESERVATIONS_RELEASED);
    } else if (isAll && this.registrations.size === 0) {
      this.endReservation();
    }
    this.generation = (this.generation + 1) >>> 0;
    return done();
  }

  private isHolder(id: string): boolean {
    if (this.type === 0) return false;
    return this.holder === null ? this.registrations.has(id) : this.holder === id;
  }

  private endReservation(): void {
    this.type = 0;
    this.holder = null;
  }

  private notifyOthers(id: string, sense: number): void {
    for (const other of this.registrations.keys()) {
      if (other !== id) this.notify(other, sense);
    }
  }
}

function keyBytes(key: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(key, 0);
  return bytes;
}
