/** The volumes as block devices with ext4 on them, a real tree of files and an SQLite database that commits. Wants root. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { waitFor } from '@longhorn/engine/testing/wait';
import { IoProber, PROBED_BYTES } from '../io-prober.ts';
import { run, ShellError } from '../shell.ts';
import { missingRows, readJournal } from '../sqlite-writer.ts';
import { copyTree, treeChecksum } from '../tree.ts';
import type { Medium, StoryWriter, Tenant } from './context.ts';

const SCRIBBLE_BYTES = 1 << 20;

export class FileSystems implements Medium {
  readonly promises = {
    fill: 'a file system, a real tree, a database that commits',
    engineDies: 'the device stays, the writer sees no error, every committed row is there',
    revert: 'the tree is that of the snapshot',
  };
  private readonly workDir: string;
  private readonly tree: string;
  private readonly tenants = new Map<string, FileSystem>();
  private readonly writers: SqliteWriter[] = [];

  /**
   * @param workDir scratch folder outside the volumes
   * @param tree what is copied onto a volume
   */
  constructor(workDir: string, tree: string) {
    this.workDir = workDir;
    this.tree = tree;
  }

  tenant(volume: string): FileSystem {
    let tenant = this.tenants.get(volume);
    if (tenant === undefined) {
      tenant = new FileSystem(join(this.workDir, 'mnt', volume), this.tree);
      this.tenants.set(volume, tenant);
    }
    return tenant;
  }

  write(volume: string): StoryWriter {
    const { folder, device } = this.tenant(volume);
    const writer = new SqliteWriter(this.workDir, join(folder, 'entries.db'), volume, device);
    this.writers.push(writer);
    return writer;
  }

  async release(): Promise<void> {
    for (const writer of this.writers) writer.kill();
    for (const tenant of this.tenants.values()) await tenant.lost();
  }
}

interface BlockDevice {
  path: string;
  /** what lies behind belongs to the prober */
  fileSystemBytes: number;
}

class FileSystem implements Tenant {
  /** where it is mounted */
  readonly folder: string;
  private readonly tree: string;
  private used: BlockDevice | null = null;

  constructor(folder: string, tree: string) {
    this.folder = folder;
    this.tree = tree;
  }

  get device(): BlockDevice {
    if (this.used === null) throw new Error('the volume is not in use');
    return this.used;
  }

  async begin(device: string, isNew: boolean): Promise<void> {
    const sizeBytes = Number(await run('blockdev', ['--getsize64', device]));
    this.used = { path: device, fileSystemBytes: sizeBytes - PROBED_BYTES };
    if (isNew) await run('mkfs.ext4', ['-q', '-F', device, `${this.used.fileSystemBytes / 1024}k`]);
    mkdirSync(this.folder, { recursive: true });
    await run('mount', [device, this.folder]);
  }

  async end(): Promise<void> {
    await run('umount', [this.folder]);
  }

  /** The cut takes the node's mounts along; one that is still there is let go. */
  async lost(): Promise<void> {
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    for (const line of mounts) if (line.split(' ')[1] === this.folder) await run('umount', ['-l', this.folder]);
  }

  private sync(): Promise<string> {
    return run('sync', ['-f', this.folder]);
  }

  async fill(): Promise<string> {
    const start = performance.now();
    await copyTree(this.tree, join(this.folder, 'tree'));
    await this.sync();
    const { files, checksum } = await treeChecksum(join(this.folder, 'tree'));
    const source = await treeChecksum(this.tree);
    if (source.checksum !== checksum) throw new Error('the copied tree differs from its source');
    return `${files} files copied and compared in ${((performance.now() - start) / 1000).toFixed(0)} s`;
  }

  async mark(text: string): Promise<void> {
    writeFileSync(join(this.folder, 'mark'), text, { flush: true });
    await this.sync();
  }

  readMark(): Promise<string> {
    return Promise.resolve(readFileSync(join(this.folder, 'mark'), 'utf8'));
  }

  async checksum(): Promise<string> {
    const { files, checksum } = await treeChecksum(join(this.folder, 'tree'));
    return `${files} files, SHA-256 ${checksum}`;
  }

  async change(): Promise<void> {
    rmSync(join(this.folder, 'tree', 'vitest'), { recursive: true, force: true });
    writeFileSync(join(this.folder, 'tree', 'added-after'), 'not in the snapshot\n'.repeat(100_000), { flush: true });
    await this.sync();
  }

  scribble(): Promise<void> {
    writeFileSync(join(this.folder, 'scribble'), Buffer.alloc(SCRIBBLE_BYTES, 's'));
    return Promise.resolve();
  }

  scribbled(): Promise<string> {
    const path = join(this.folder, 'scribble');
    const found = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    if (found.some((byte) => byte !== 0 && byte !== 's'.charCodeAt(0))) throw new Error(`${path} holds garbage`);
    return Promise.resolve(`of a file without fsync ${found.length} of ${SCRIBBLE_BYTES} bytes are there`);
  }

  async inspect(device: string): Promise<void> {
    await this.end();
    try {
      await run('fsck.ext4', ['-f', '-n', device]);
    } catch (error) {
      throw new ShellError(`the file system on ${device} is not clean`, { cause: error });
    }
    const raw = (): Promise<string> => run('sh', ['-c', `dd if=${device} bs=1M iflag=direct status=none | sha256sum`]);
    const [first, second] = await Promise.all([raw(), raw()]);
    if (first !== second) throw new Error('two reads of the device differ');
  }
}

/** The SQLite writer as a process of its own, and another that measures single I/Os on the same device past every cache. */
class SqliteWriter implements StoryWriter {
  private readonly journal: string;
  private readonly database: string;
  private readonly child: ChildProcess;
  private readonly logPath: string;
  private readonly prober: IoProber;
  private ended: { code: number | null; signal: string | null } | null = null;

  constructor(workDir: string, database: string, name: string, device: BlockDevice) {
    mkdirSync(workDir, { recursive: true });
    this.database = database;
    this.journal = join(workDir, `${name}.journal`);
    this.logPath = join(workDir, `${name}.log`);
    const log = openSync(this.logPath, 'a');
    const program = resolve(fileURLToPath(import.meta.url), '../../sqlite-writer.ts');
    this.child = spawn(process.execPath, [program, database, this.journal], { stdio: ['ignore', log, log] });
    this.child.on('exit', (code, signal) => {
      this.ended = { code, signal };
    });
    this.prober = new IoProber(device.path, device.fileSystemBytes, join(workDir, `${name}.probes`));
  }

  /** Rows committed so far; none before the journal is there. */
  private count(): number {
    return existsSync(this.journal) ? readJournal(this.journal).committed.length : 0;
  }

  /** Milliseconds since 1970. */
  point(): number {
    return Date.now();
  }

  longestMs(from: number, to?: number): Promise<number> {
    return this.prober.longestMs(from, to);
  }

  async progress(count: number, timeoutMs: number): Promise<void> {
    const target = this.count() + count;
    await waitFor(`the writer commits ${count} more rows`, timeoutMs, async () => {
      await this.assertAlive();
      return this.count() >= target;
    });
  }

  private async assertAlive(): Promise<void> {
    if (this.ended === null) return;
    throw new Error(`the SQLite writer saw an error:\n${await run('tail', ['-5', this.logPath])}`);
  }

  async stop(): Promise<string> {
    await this.assertAlive();
    await this.prober.stop();
    this.child.kill('SIGTERM');
    await waitFor('the writer ends', 30_000, () => Promise.resolve(this.ended !== null));
    if (this.ended?.code !== 0) throw new Error(`the SQLite writer ended with ${JSON.stringify(this.ended)}`);
    const { committed, longestMs } = readJournal(this.journal);
    const missing = missingRows(this.database, committed);
    if (missing.length > 0)
      throw new Error(
        `${missing.length} of ${committed.length} committed rows are gone: ${missing.slice(0, 5).join()}`,
      );
    return `${committed.length} rows, all there; longest commit ${longestMs.toFixed(0)} ms`;
  }

  /** Ends it whatever its state. */
  kill(): void {
    this.child.kill('SIGKILL');
    this.prober.kill();
  }
}
