import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ChapAccounts, readChapAccounts } from './chap-accounts.ts';

const SHORT = { username: 'joe', password: '0123456789ab' };
const MUTUAL = { ...SHORT, username_in: 'target', password_in: 'ba9876543210' };

let folder: string;
let warnings: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chap-'));
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(values: Record<string, string>): void {
  for (const [name, value] of Object.entries(values)) writeFileSync(join(folder, `node.session.auth.${name}`), value);
}

const accounts = (): ChapAccounts =>
  new ChapAccounts(folder, pino({ base: null }, { write: (line: string) => void warnings.push(line) }));

it('has the accounts of a Secret, with and without one of the target', () => {
  put({ username: 'joe\n', password: '0123456789ab\r\n' });
  expect(readChapAccounts(folder)).toEqual({ initiator: { user: 'joe', secret: '0123456789ab' }, target: null });
  put(MUTUAL);
  expect(readChapAccounts(folder).target).toEqual({ user: 'target', secret: 'ba9876543210' });
});

it.each([
  [{}, 'node.session.auth.username is missing or empty'],
  [{ password: '0123456789ab' }, 'node.session.auth.username is missing or empty'],
  [{ username: 'joe' }, 'node.session.auth.password is missing or empty'],
  [{ username: '', password: '0123456789ab' }, 'node.session.auth.username is missing or empty'],
  [{ username: 'joe', password: '0123456789a' }, 'node.session.auth.password is too short: use at least 12 bytes'],
  [{ ...SHORT, username_in: 'target' }, 'node.session.auth.password_in is missing or empty'],
  [{ ...SHORT, password_in: 'ba9876543210' }, 'node.session.auth.username_in is missing or empty'],
  [{ ...MUTUAL, password_in: '0123456789ab' }, 'node.session.auth.password_in must differ'],
])('refuses %j', (values, problem) => {
  put(values);
  expect(() => readChapAccounts(folder)).toThrow(`${folder}: ${problem}`);
});

it('follows the files, and goes on with the accounts of before when they cannot be used, telling so once', () => {
  put(SHORT);
  const followed = accounts();
  put({ password: 'another-secret' });
  expect(followed.current().initiator.secret).toBe('another-secret');
  rmSync(folder, { recursive: true });
  expect(followed.current().initiator.secret).toBe('another-secret');
  expect(followed.current().initiator.secret).toBe('another-secret');
  expect(warnings).toEqual([expect.stringContaining('username is missing or empty')]);
  expect(() => accounts()).toThrow('username is missing or empty');
});
