/**
 * A replica's folder on a disk whose power-cut loses nothing by itself, made to lose what was not synced.
 *
 * Opened in another boot of the node than the one before, it first takes back all content that no sync had covered, to the
 * page; a process that died alone loses nothing. Sizes and names (created, renamed, removed) stay as they were: a real
 * disk may have kept those, too. After a crash of the real machine the logs mean nothing and are thrown away.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataFile, FileStat, Folder, FolderLock, LockKind } from '../io/disk.ts';
import { openNodeFolder } from '../io/node/node-folder.ts';
import { logName, parseLogName, readBoot, undo, UndoLog, type Boot, type LogName } from './undo-log.ts';

class UndoFile implements DataFile {
  readonly #file: DataFile;
  readonly #log: UndoLog;
  #isNoted = false;

  constructor(file: DataFile, log: UndoLog) {
    this.#file = file;
    this.#log = log;
  }

  get name(): string {
    return this.#file.name;
  }

  get bytesWritten(): number {
    return this.#isNoted ? this.#file.bytesWritten : 0;
  }

  readCached(into: Buffer, at: number, length: number, offset: number): number {
    return this.#file.readCached(into, at, length, offset);
  }

  readSync(into: Buffer, at: number, length: number, offset: number): number {
    return this.#file.readSync(into, at, length, offset);
  }

  read(into: Buffer, at: number, length: number, offset: number): Promise<number> {
    return this.#file.read(into, at, length, offset);
  }

  #note(offset: number, length: number): void {
    this.#isNoted = false;
    this.#log.note(this.#file, offset, length);
    this.#isNoted = true;
  }

  write(from: Buffer, at: number, length: number, offset: number): void {
    this.#note(offset, length);
    this.#file.write(from, at, length, offset);
  }

  writeJoined(pieces: readonly Buffer[], length: number, offset: number): void {
    this.#note(offset, length);
    this.#file.writeJoined(pieces, length, offset);
  }

  async writeLater(from: Buffer, at: number, length: number, offset: number): Promise<void> {
    this.#log.note(this.#file, offset, length);
    await this.#log.track(this.#file.writeLater(from, at, length, offset));
  }

  punch(offset: number, length: number): void {
    this.#log.note(this.#file, offset, length);
    this.#file.punch(offset, length);
  }

  zero(offset: number, length: number): void {
    this.#log.note(this.#file, offset, length);
    this.#file.zero(offset, length);
  }

  extents(from: number, to: number, into: Float64Array): number {
    return this.#file.extents(from, to, into);
  }

  unwritten(from: number, to: number, into: Float64Array): number {
    return this.#file.unwritten(from, to, into);
  }

  statNow(): FileStat {
    return this.#file.statNow();
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#file.truncate(sizeBytes);
  }

  startWriteback(): Promise<void> {
    return this.#file.startWriteback();
  }

  dropCache(): Promise<void> {
    return this.#file.dropCache();
  }

  sync(): Promise<void> {
    return this.#log.sync(this.#file);
  }

  close(): Promise<void> {
    this.#log.rest();
    return this.#file.close();
  }
}

class UndoFolder implements Folder {
  readonly #folder: Folder;
  readonly #boot: Boot;
  /** inode -> logs */
  readonly #logs: Map<string, UndoLog>;

  constructor(folder: Folder, boot: Boot, logs: Map<string, UndoLog>) {
    this.#folder = folder;
    this.#boot = boot;
    this.#logs = logs;
  }

  get path(): string {
    return this.#folder.path;
  }

  get onSyncFailure(): (reason: string) => void {
    return this.#folder.onSyncFailure;
  }

  set onSyncFailure(tell: (reason: string) => void) {
    this.#folder.onSyncFailure = tell;
  }

  async list(): Promise<string[]> {
    return (await this.#folder.list()).filter((name) => parseLogName(name) === null);
  }

  stat(name: string): Promise<FileStat | null> {
    return this.#folder.stat(name);
  }

  readSmall(name: string, bytesMax: number): Promise<Buffer | null> {
    return this.#folder.readSmall(name, bytesMax);
  }

  async writeSmall(name: string, content: Buffer): Promise<void> {
    const found = await this.#folder.stat(name);
    // Written in place and synced: what was noted of it is of the past.
    if (found !== null) this.#forget(found.inode);
    await this.#folder.writeSmall(name, content);
  }

  async create(name: string, sizeBytes: number): Promise<DataFile> {
    await this.remove(name);
    const file = await this.#folder.create(name, sizeBytes);
    this.#forget(file.statNow().inode);
    return this.#wrap(file);
  }

  async open(name: string, access: 'read' | 'write'): Promise<DataFile> {
    return this.#wrap(await this.#folder.open(name, access));
  }

  #wrap(file: DataFile): DataFile {
    const { inode } = file.statNow();
    let log = this.#logs.get(inode);
    if (log === undefined) this.#logs.set(inode, (log = new UndoLog(this.path, inode, this.#boot, [])));
    return new UndoFile(file, log);
  }

  #forget(inode: string): void {
    this.#logs.get(inode)?.forget();
    this.#logs.delete(inode);
  }

  /** The file's content can be reached by no other name once this one is gone. */
  async #forgetLast(name: string): Promise<void> {
    const found = await this.#folder.stat(name);
    if (found?.linkCount === 1) this.#forget(found.inode);
  }

  async rename(from: string, to: string): Promise<void> {
    if (from !== to) await this.#forgetLast(to);
    await this.#folder.rename(from, to);
  }

  link(from: string, to: string): Promise<void> {
    return this.#folder.link(from, to);
  }

  async remove(name: string): Promise<boolean> {
    await this.#forgetLast(name);
    return this.#folder.remove(name);
  }

  sync(): Promise<void> {
    return this.#folder.sync();
  }

  lock(kind: LockKind, holder: string, onRequest: () => void): Promise<FolderLock | { heldBy: string }> {
    return this.#folder.lock(kind, holder, onRequest);
  }
}

/** Takes back what a loss of power would have lost since; what is left are the logs of this boot. */
async function settle(folder: Folder, boot: Boot): Promise<Map<string, UndoLog>> {
  const names = new Map<string, string>();
  const logs: LogName[] = [];
  for (const name of await folder.list()) {
    const log = parseLogName(name);
    if (log !== null) logs.push(log);
    else names.set((await folder.stat(name))?.inode ?? '', name);
  }
  const kept = new Map<string, number[]>();
  for (const log of logs.sort((a, b) => b.generation - a.generation)) {
    const path = join(folder.path, logName(log));
    const begun = readBoot(path);
    const name = names.get(log.inode);
    if (begun?.machine === boot.machine && begun.node === boot.node && name !== undefined) {
      kept.set(log.inode, [...(kept.get(log.inode) ?? []), log.generation]);
      continue;
    }
    if (begun?.machine === boot.machine && name !== undefined) {
      const file = await folder.open(name, 'write');
      try {
        undo(path, file);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    await rm(path);
  }
  return new Map([...kept].map(([inode, generations]) => [inode, new UndoLog(folder.path, inode, boot, generations)]));
}

/** Opens a folder (made when missing) that loses what was not synced whenever the node's boot is another one. */
export async function openUndoFolder(path: string, boot: Boot): Promise<Folder> {
  const folder = await openNodeFolder(path);
  return new UndoFolder(folder, boot, await settle(folder, boot));
}
