import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { nbdSessionLeft, newNbdSession, volumeOfNbdSocket } from './nbd-session.ts';

let runDir = '';
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'nbd-session-'));
});
afterEach(() => rmSync(runDir, { recursive: true, force: true }));

it('finds what an engine of the same volume left, and nothing of others', () => {
  expect(nbdSessionLeft('v', runDir)).toBeNull();
  mkdirSync(join(runDir, 'nbd'));
  for (const file of ['v.1@3.sock', 'v@x.sock', 'v@3.sock.77', 'w@4.sock'])
    writeFileSync(join(runDir, 'nbd', file), '');
  expect(nbdSessionLeft('v', runDir)).toBeNull();
  const path = newNbdSession('v', runDir, 5);
  writeFileSync(path, '');
  utimesSync(path, 0, 0);
  expect([nbdSessionLeft('v', runDir), nbdSessionLeft('v.1', runDir)]).toEqual([
    path,
    join(runDir, 'nbd', 'v.1@3.sock'),
  ]);
});

it.each([
  ['v@3.sock', 'v'],
  ['a.b_c-d@12.sock', 'a.b_c-d'],
  ['v.sock', null],
  ['v@3.sock.991', null],
  ['@3.sock', null],
])('%s is a socket of volume %s', (file, volume) => {
  expect(volumeOfNbdSocket(file)).toBe(volume);
});
