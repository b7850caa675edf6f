/** A replica on a small file system of its own that runs full: writes fail with upstream's text, nothing is corrupted. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  FRAME_ERROR,
  FRAME_FLUSH,
  FRAME_READ,
  FRAME_RESPONSE,
  FRAME_UNMAP,
  FRAME_WRITE,
} from '../src/protocol/replica-frame.ts';
import { DataClient, frame } from './data-client.ts';
import { startReplicaIn, type StartedReplica } from './replica-process.ts';
import { temporaryFolder } from './temporary-folder.ts';

const SIZE = 64 << 20;
const PIECE = 256 << 10;

function mountProblem(): string | null {
  if (process.getuid?.() !== 0) return 'not root';
  try {
    statSync('/dev/loop-control');
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', timeout: 15_000 });
}

const problem = mountProblem();
if (problem !== null) console.log(`disk-full test skipped, it needs root and loop devices: ${problem}`);

describe.skipIf(problem !== null)('a replica whose disk is full', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let mount: string;
  let replica: StartedReplica;
  let client: DataClient;
  let undo: (() => Promise<void> | void)[];
  let seq = 1;

  beforeEach(async () => {
    undo = [];
    folder = await temporaryFolder();
    undo.push(folder.remove);
    const image = join(folder.path, 'disk.ext4');
    mount = join(folder.path, 'mount');
    mkdirSync(mount);
    run('truncate', '-s', '32M', image);
    run('mkfs.ext4', '-q', '-m', '0', image);
    // `mount -o loop` looks at every loop device first, and one whose file does not answer would hold it up.
    const device = run('losetup', '--find', '--show', image).trim();
    undo.push(() => void run('losetup', '--detach', device));
    run('mount', '-t', 'ext4', device, mount);
    undo.push(() => void run('umount', mount));
    replica = await startReplicaIn(join(mount, 'replica'), SIZE, {
      isSyncAgentOn: false,
    });
    undo.push(() => replica.end());
    await replica.control.ReplicaOpen({});
    client = await DataClient.connect({ port: replica.dataPort, host: '127.0.0.1' });
    undo.push(() => client.end());
  });

  afterEach(async () => {
    // Only what was made: a test that could not be set up leaves nothing either.
    for (const step of undo.toReversed()) await step();
  });

  async function request(
    type: number,
    offset: number,
    size: number,
    payload?: Buffer,
  ): Promise<{ type: number; text: string; data: Buffer }> {
    client.send(frame(seq++, type, offset, size, payload));
    const [answer] = await client.answers(1);
    return {
      type: answer?.type ?? -1,
      text: answer?.data.toString('latin1') ?? '',
      data: answer?.data ?? Buffer.alloc(0),
    };
  }

  const fill = (i: number): Buffer => Buffer.alloc(PIECE, i % 251);

  it('answers with upstream’s text, keeps what was acknowledged, and goes on when space is freed', async () => {
    const ballast = join(mount, 'ballast');
    writeFileSync(ballast, Buffer.alloc(4 << 20, 1));
    run('sync', '-f', mount);
    let acknowledged = 0;
    for (let refused = false; !refused;) {
      const answer = await request(FRAME_WRITE, acknowledged * PIECE, PIECE, fill(acknowledged));
      refused = answer.type === FRAME_ERROR;
      expect(refused ? answer.text : '').toMatch(/^$|^write .*volume-head-000\.img: no space left on device$/);
      if (!refused) acknowledged++;
    }
    expect(acknowledged).toBeGreaterThan(40);
    await checkAll(acknowledged);
    rmSync(ballast);
    expect((await request(FRAME_FLUSH, 0, 0)).type).toBe(FRAME_RESPONSE);
    expect((await request(FRAME_WRITE, acknowledged * PIECE, PIECE, fill(acknowledged))).type).toBe(FRAME_RESPONSE);
    await checkAll(acknowledged + 1);
    expect((await request(FRAME_UNMAP, 0, 8 << 20)).type).toBe(FRAME_RESPONSE);
    expect((await request(FRAME_FLUSH, 0, 0)).type).toBe(FRAME_RESPONSE);
    expect((await request(FRAME_WRITE, 0, PIECE, fill(0))).type).toBe(FRAME_RESPONSE);
  });

  async function checkAll(count: number): Promise<void> {
    const wrong: number[] = [];
    for (let i = 0; i < count; i++) {
      const { data } = await request(FRAME_READ, i * PIECE, PIECE);
      if (!data.equals(fill(i))) wrong.push(i);
    }
    expect(wrong).toEqual([]);
  }

  /** Writes files until not even a small one fits; returns their number. */
  function fillUp(): number {
    let name = 0;
    for (let size = 1 << 20; size >= 4096; name++) {
      try {
        writeFileSync(join(mount, `full-${name}`), Buffer.alloc(size, 1), { flush: true });
      } catch (error) {
        if (!String(error).includes('ENOSPC')) throw error;
        size >>= 1;
      }
    }
    return name;
  }

  const snapshot = (name: string): Promise<unknown> =>
    replica.control.ReplicaSnapshot({ name, user_created: true, created: '2026-01-01T00:00:00Z' });

  it('takes snapshots from its reserve, then refuses them, keeps room for records, and is whole again with space', async () => {
    await request(FRAME_WRITE, 0, PIECE, fill(7));
    await request(FRAME_FLUSH, 0, 0);
    // Files without room for their content, so that not even a small file can be written.
    const count = fillUp();
    const reserved = (): number => statSync(join(mount, 'replica', 'longhorn-reserve')).blocks * 512;
    const taken: string[] = [];
    const takeAll = async (): Promise<void> => {
      for (let i = 0; i < 200; i++) {
        await snapshot(`s${i}`);
        taken.push(`volume-snap-s${i}.img`);
        expect(reserved()).toBeGreaterThan(20 << 10);
      }
    };
    await expect(takeAll()).rejects.toThrow(/no space left on device for another snapshot/);
    const full = (await replica.control.ReplicaGet({})).replica;
    expect(full?.chain.slice(1)).toEqual(taken.toReversed());
    expect(full?.state).toBe('dirty');
    expect(Number(full?.spaceAvailable)).toBeLessThan(4096);
    expect((await request(FRAME_READ, 0, PIECE)).data.equals(fill(7))).toBe(true);
    for (let epoch = 1; epoch <= 20; epoch++) {
      await replica.control.ReplicaOpenEpoch({ epoch, engineName: 'e' });
      const record = {
        epoch,
        count: 1,
        members: ['r'],
        size: SIZE,
        chain: taken.toReversed(),
        bases: [],
        decided: false,
      };
      await replica.control.MembershipPropose({ epoch, record });
      await replica.control.MembershipCommit({ epoch, count: 1 });
    }
    for (let i = 0; i < count; i++) rmSync(join(mount, `full-${i}`), { force: true });
    await snapshot('last');
    expect(Number((await replica.control.ReplicaGet({})).replica?.spaceAvailable)).toBeGreaterThan(1 << 20);
  });

  it('comes back when its process is started again on the full disk', async () => {
    await replica.control.ReplicaOpenEpoch({ epoch: 3, engineName: 'e' });
    fillUp();
    client.end();
    await replica.end();
    replica = await startReplicaIn(join(mount, 'replica'), SIZE, {
      isSyncAgentOn: false,
    });
    undo.push(() => replica.end());
    const opened = (await replica.control.ReplicaOpenEpoch({ epoch: 4, engineName: 'f' })).replica;
    expect([opened?.epoch, opened?.state]).toEqual([4, 'open']);
  });
});
