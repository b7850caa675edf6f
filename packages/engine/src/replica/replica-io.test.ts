import { describe, expect, it, vi } from 'vitest';
import type { MembershipRecord } from './replica-state.ts';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { startTestReplica, volumeOf } from '../../test/replica-fixture.ts';

const RECORD: MembershipRecord = {
  epoch: 1,
  count: 1,
  members: ['r'],
  size: 1 << 20,
  chain: [],
  bases: [],
  decided: false,
};

describe('flushes and changes of the chain', () => {
  it('never overlap, also when flushes wait for one another', async () => {
    const folder = new MemoryFolder();
    const replica = await startTestReplica(folder);
    await replica.server.create(1 << 20);
    await replica.server.open();
    const before = folder.disk.steps;
    const flushes = [replica.io.flush(), replica.io.flush(), replica.io.flush()];
    const change = replica.io.gate.exclusive(() => Promise.resolve(folder.disk.steps));
    await Promise.all(flushes);
    // Two syncs: the second is shared by the flushes that came while the first ran.
    expect([await change, folder.disk.steps]).toEqual([before + 2, before + 2]);
  });

  it('lets a replica be closed in the middle of flushes', async () => {
    const replica = await startTestReplica(new MemoryFolder());
    await replica.server.create(1 << 20);
    await replica.server.open();
    volumeOf(replica).write(Buffer.alloc(4096, 1), 0, 4096, 0);
    const flushes = [replica.io.flush(), replica.io.flush(), replica.io.flush()];
    await replica.server.close();
    await expect(Promise.all(flushes)).resolves.toHaveLength(3);
    expect(replica.notes).toEqual([]);
    expect(replica.server.status).toBe('closed');
  });

  it('syncs in the background after a write', async () => {
    const folder = new MemoryFolder();
    const replica = await startTestReplica(folder);
    await replica.server.create(1 << 20);
    await replica.server.open();
    volumeOf(replica).write(Buffer.alloc(4096, 'w'), 0, 4096, 0);
    replica.io.noteWritten(4096);
    replica.clock.fire();
    await replica.io.flush();
    const survivor = await startTestReplica(folder.afterPowerLoss(() => 0.9));
    await survivor.server.open();
    const read = Buffer.alloc(4096);
    expect(volumeOf(survivor).readCached(read, 0, 4096, 0)).toBe(true);
    expect(read.equals(Buffer.alloc(4096, 'w'))).toBe(true);
  });

  it('syncs in the background once a change of the chain is over that the timer met', async () => {
    const replica = await startTestReplica(new MemoryFolder());
    await replica.server.create(1 << 20);
    await replica.server.open();
    const synced = vi.spyOn(volumeOf(replica), 'sync');
    replica.io.noteWritten(4096);
    await replica.io.gate.exclusive(() => {
      replica.clock.fire();
      return Promise.resolve();
    });
    expect(synced).toHaveBeenCalledTimes(1);
  });

  it('that fail are known to the next process, too', async () => {
    const folder = new MemoryFolder();
    const replica = await startTestReplica(folder);
    await replica.server.create(1 << 20);
    await replica.server.openEpoch(1, 'e');
    await replica.server.storeMembership({ ...RECORD });
    expect(replica.server.lastBootId).toBe('boot-1');
    folder.disk.syncsToFail = 1;
    await expect(replica.io.flush()).rejects.toThrow('input/output error');
    await replica.server.serial(() => Promise.resolve());
    const next = await startTestReplica(folder);
    expect(next.server.lastBootId).not.toBe('boot-1');
    // An engine that has not noticed that this is another process must not make it forgotten.
    await expect(next.server.storeMembership({ ...RECORD, epoch: 2 })).rejects.toThrow('replica is not open');
    expect(next.server.lastBootId).not.toBe('boot-1');
    await next.server.openEpoch(2, 'e');
    await next.server.storeMembership({ ...RECORD, epoch: 2 });
    expect(next.server.lastBootId).toBe('boot-1');
  });

  it('that fail while a record is stored stay noted: the record does not count on them', async () => {
    const folder = new MemoryFolder();
    const notes = new Set<string>();
    const failureNote = {
      isThere: () => notes.has('r'),
      write: () => void notes.add('r'),
      remove: () => void notes.delete('r'),
    };
    const replica = await startTestReplica(folder, { failureNote });
    await replica.server.create(1 << 20);
    await replica.server.openEpoch(1, 'e');
    await replica.server.storeMembership({ ...RECORD });
    const stored = replica.server.storeMembership({ ...RECORD, count: 2 });
    folder.onSyncFailure('sync volume-head-000.img: input/output error');
    await expect(stored).rejects.toThrow('input/output error');
    expect([failureNote.isThere(), replica.server.lastBootId]).toEqual([true, 'sync-failed']);
  });

  it('that fail while a replica is opened are known to the next process, too', async () => {
    const folder = new MemoryFolder();
    const replica = await startTestReplica(folder);
    await replica.server.create(1 << 20);
    await replica.server.openEpoch(1, 'e');
    await replica.server.storeMembership({ ...RECORD });
    const ended = vi.fn<(reason: string) => void>();
    const second = await startTestReplica(folder, { onFault: ended });
    folder.disk.syncsToFail = 1;
    await expect(second.server.openEpoch(2, 'e')).rejects.toThrow('input/output error');
    await second.server.serial(() => Promise.resolve());
    expect(second.server.lastBootId).not.toBe('boot-1');
    expect(ended).toHaveBeenCalledExactlyOnceWith('sync volume-head-000.img: input/output error');
    expect((await startTestReplica(folder)).server.lastBootId).not.toBe('boot-1');
  });

  it('end only when the layers are synced that another sync has begun with', async () => {
    const replica = await startTestReplica(new MemoryFolder());
    await replica.server.create(1 << 20);
    await replica.server.open();
    volumeOf(replica).write(Buffer.alloc(4096, 'w'), 0, 4096, 0);
    await replica.server.snapshot('one', true, '2026-02-03T04:05:06Z', {});
    const volume = volumeOf(replica);
    const [layer] = volume.layers;
    let end = (): void => undefined;
    vi.spyOn(layer?.file ?? volume.head.file, 'sync').mockReturnValueOnce(new Promise((resolve) => (end = resolve)));
    volume.unmap(0, 4096, () => true);
    const ended: string[] = [];
    const first = volume.sync().then(() => ended.push('first'));
    const second = volume.sync().then(() => ended.push('second'));
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(ended).toEqual([]);
    end();
    await Promise.all([first, second]);
    expect(ended).toHaveLength(2);
  });
});
