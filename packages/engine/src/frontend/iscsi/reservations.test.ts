import { Buffer } from 'node:buffer';
import { beforeEach, describe, expect, it } from 'vitest';
import { type Access, Reservations } from './reservations.ts';

const A = { id: 'a', initiatorName: 'iqn.a', isid: '000000000001' };
const B = { id: 'b', initiatorName: 'iqn.b', isid: '000000000002' };
const C = { id: 'c', initiatorName: 'iqn.c', isid: '000000000003' };
const GOOD = 0;
const CHECK = 2;
const CONFLICT = 0x18;
const RELEASED = 0x06_2a_04;
const PREEMPTED = 0x06_2a_05;
const CLEARED = 0x06_2a_03;

let told: [string, number][];
let reservations: Reservations;
let removed: string[];

beforeEach(() => {
  told = [];
  removed = [];
  reservations = new Reservations((id, sense) => told.push([id, sense]));
});

function out(nexus: typeof A, action: number, key: number, actionKey: number, type = 0, flags = 0): number {
  const cdb = Buffer.alloc(16);
  cdb.set([0x5f, action, type]);
  cdb.writeUInt32BE(24, 5);
  const data = Buffer.alloc(24);
  data.writeBigUInt64BE(BigInt(key), 0);
  data.writeBigUInt64BE(BigInt(actionKey), 8);
  data[20] = flags;
  return reservations.writeOut(nexus, cdb, data, removed).status;
}

const conflicts = (id: string): Access[] =>
  (['any', 'ready', 'settings', 'read', 'write'] as const).filter((access) => reservations.isConflict(id, access));

const keys = (): string => (reservations.readIn(0) ?? Buffer.alloc(0)).subarray(8).toString('hex');

describe('registrations', () => {
  it.each([
    { name: 'a first one', steps: () => out(A, 0, 0, 1), status: GOOD },
    { name: 'a first one with a wrong key', steps: () => out(A, 0, 5, 1), status: CONFLICT },
    { name: 'a change', steps: () => (out(A, 0, 0, 1), out(A, 0, 1, 2)), status: GOOD },
    { name: 'a change with a wrong key', steps: () => (out(A, 0, 0, 1), out(A, 0, 9, 2)), status: CONFLICT },
    { name: 'a change that ignores the key', steps: () => (out(A, 0, 0, 1), out(A, 6, 9, 2)), status: GOOD },
    { name: 'the end of none', steps: () => out(A, 6, 0, 0), status: GOOD },
    { name: 'persistence through power loss', steps: () => out(A, 0, 0, 1, 0, 1), status: CHECK },
    { name: 'registrations of others', steps: () => out(A, 0, 0, 1, 0, 8), status: CHECK },
    { name: 'register and move', steps: () => out(A, 7, 0, 1), status: CHECK },
    { name: 'a reservation without one', steps: () => out(A, 1, 0, 0, 1), status: CONFLICT },
    { name: 'a type that does not exist', steps: () => (out(A, 0, 0, 1), out(A, 1, 1, 0, 2)), status: CHECK },
    { name: 'a scope that does not exist', steps: () => (out(A, 0, 0, 1), out(A, 1, 1, 0, 0x11)), status: CHECK },
    { name: 'a preemption of nobody', steps: () => (out(A, 0, 0, 1), out(A, 4, 1, 9, 1)), status: CONFLICT },
  ])('$name', ({ steps, status }) => {
    expect(steps()).toBe(status);
  });

  it('are listed by key, with the generation', () => {
    out(A, 0, 0, 0x0a);
    out(B, 0, 0, 0x0b);
    expect(reservations.readIn(0)?.toString('hex')).toBe(`0000000200000010${'000000000000000a'}${'000000000000000b'}`);
  });

  it('have a limit', () => {
    for (let i = 0; i < 128; i++) out({ ...A, id: String(i) }, 0, 0, 1);
    expect(out(A, 0, 0, 1)).toBe(CHECK);
  });
});

describe('access under a reservation of A, with B registered and C not', () => {
  const all: Access[] = ['settings', 'read', 'write'];
  it.each([
    { type: 1, a: [], b: ['write'], c: ['settings', 'write'] },
    { type: 3, a: [], b: ['read', 'write'], c: all },
    { type: 5, a: [], b: [], c: ['settings', 'write'] },
    { type: 6, a: [], b: [], c: all },
    { type: 7, a: [], b: [], c: ['settings', 'write'] },
    { type: 8, a: [], b: [], c: all },
  ])('of type $type', ({ type, a, b, c }) => {
    out(A, 0, 0, 1);
    out(B, 0, 0, 2);
    expect(out(A, 1, 1, 0, type)).toBe(GOOD);
    expect([conflicts('a'), conflicts('b'), conflicts('c')]).toEqual([a, b, c]);
    const holder = type >= 7 ? '0000000000000000' : '0000000000000001';
    expect(reservations.readIn(1)?.subarray(8).toString('hex')).toBe(`${holder}00000000000${type}0000`.padEnd(32, '0'));
  });
});

describe('a reservation', () => {
  beforeEach(() => {
    out(A, 0, 0, 1);
    out(B, 0, 0, 2);
  });

  it('is given to one', () => {
    out(A, 1, 1, 0, 1);
    expect([out(A, 1, 1, 0, 1), out(A, 1, 1, 0, 3), out(B, 1, 2, 0, 1)]).toEqual([GOOD, CONFLICT, CONFLICT]);
  });

  it('is released by its holder, with its type', () => {
    out(A, 1, 1, 0, 5);
    expect([out(B, 2, 2, 0, 5), out(A, 2, 1, 0, 3)]).toEqual([GOOD, CHECK]);
    expect(conflicts('c')).toEqual(['settings', 'write']);
    expect(out(A, 2, 1, 0, 5)).toBe(GOOD);
    expect([conflicts('c'), told]).toEqual([[], [['b', RELEASED]]]);
  });

  it('ends with the registration of its holder', () => {
    out(A, 1, 1, 0, 6);
    out(A, 0, 1, 0);
    expect([conflicts('c'), told, keys()]).toEqual([[], [['b', RELEASED]], '0000000000000002']);
  });

  it('of all registrants ends with the last one', () => {
    out(A, 1, 1, 0, 7);
    out(A, 0, 1, 0);
    expect(conflicts('c')).toEqual(['settings', 'write']);
    out(B, 0, 2, 0);
    expect(conflicts('c')).toEqual([]);
  });

  it('is preempted together with the registration of its holder', () => {
    out(A, 1, 1, 0, 1);
    expect(out(B, 5, 2, 1, 3)).toBe(GOOD);
    expect([removed, told, keys()]).toEqual([['a'], [['a', PREEMPTED]], '0000000000000002']);
    expect([conflicts('a'), conflicts('b')]).toEqual([['settings', 'read', 'write'], []]);
  });

  it('stays when somebody else is preempted', () => {
    out(C, 0, 0, 3);
    out(A, 1, 1, 0, 1);
    expect(out(B, 4, 2, 3, 3)).toBe(GOOD);
    expect([removed, conflicts('b'), conflicts('a')]).toEqual([['c'], ['write'], []]);
  });

  it('of all registrants is preempted by key 0', () => {
    out(A, 1, 1, 0, 8);
    expect(out(B, 4, 2, 0, 1)).toBe(GOOD);
    expect([removed, keys(), conflicts('a')]).toEqual([['a'], '0000000000000002', ['settings', 'write']]);
  });

  it('is cleared with all registrations', () => {
    out(A, 1, 1, 0, 3);
    expect(out(B, 3, 2, 0)).toBe(GOOD);
    expect([keys(), conflicts('c'), told]).toEqual(['', [], [['a', CLEARED]]]);
  });
});

describe('RESERVE(6)', () => {
  it('keeps others out until its holder releases it or is gone', () => {
    expect([reservations.reserve6('a').status, reservations.reserve6('b').status]).toEqual([GOOD, CONFLICT]);
    expect([conflicts('a'), conflicts('b')]).toEqual([[], ['ready', 'settings', 'read', 'write']]);
    expect([reservations.release6('b').status, conflicts('b').length]).toEqual([GOOD, 4]);
    reservations.release6('a');
    expect(conflicts('b')).toEqual([]);
    reservations.reserve6('a');
    reservations.dropReserve6('a');
    expect(conflicts('b')).toEqual([]);
  });

  it('and persistent reservations exclude each other', () => {
    reservations.reserve6('a');
    expect(out(B, 0, 0, 1)).toBe(CONFLICT);
    reservations.dropReserve6(null);
    out(B, 0, 0, 1);
    expect(reservations.reserve6('a').status).toBe(CONFLICT);
  });
});
