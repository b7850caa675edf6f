import { describe, expect, it } from 'vitest';
import { MemoryFolder } from '../../test/memory-folder.ts';
import { startTestReplica, volumeOf } from '../../test/replica-fixture.ts';

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
});
