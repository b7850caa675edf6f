/**
 * `node power-loss-writer.ts FOLDER LOST_MARK`: a replica with flushed data in a snapshot and in its head, and then a write that is on its way
 * to the device when the file system's journal is written. Says `ready` then, and goes on until its standard input ends.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { startTestReplica, volumeOf } from './replica-fixture.ts';
import { FLUSHED, LOST_BLOCKS, SIZE, ZEROED } from './power-loss-layout.ts';

const [folder = '', mark = ''] = process.argv.slice(2);
const BLOCK = 4096;

const replica = await startTestReplica(folder);
await replica.server.create(SIZE);
await replica.server.openEpoch(1, 'e');
const volume = volumeOf(replica);
volume.write(Buffer.alloc(SIZE, FLUSHED), 0, SIZE, 0);
await replica.server.snapshot('s', true, '2026-01-01T00:00:00Z', {});
volume.unmap(ZEROED.offset, ZEROED.length, () => false);
await replica.io.flush();

volume.write(Buffer.alloc(LOST_BLOCKS * BLOCK, mark), 0, LOST_BLOCKS * BLOCK, 0);
await volume.head.file.startWriteback();
// A sync of something else writes the journal, and with it the place of the blocks.
const other = await open(join(folder, '..', 'other'), 'w');
await other.write('x');
await other.sync();
await other.close();
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('end', resolve).resume());
await replica.server.close();
process.exit(0);
