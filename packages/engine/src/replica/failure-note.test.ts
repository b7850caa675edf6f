import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { failureNote } from './failure-note.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'failure-note-'));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the note of a failed sync', () => {
  it('is there for the next process of the same replica, and for no other', () => {
    failureNote(join(folder, 'run'), '/data/replicas/one').write();
    expect(failureNote(join(folder, 'run'), '/data/replicas/one/').isThere()).toBe(true);
    expect(failureNote(join(folder, 'run'), '/data/replicas/two').isThere()).toBe(false);
  });

  it('goes once, and may be removed twice', () => {
    const note = failureNote(folder, '/data/replicas/one');
    note.write();
    note.write();
    note.remove();
    note.remove();
    expect(note.isThere()).toBe(false);
  });

  it('says when it cannot be written', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => failureNote(join(folder, 'file'), '/data/replicas/one').write()).toThrow('ENOTDIR');
  });
});
