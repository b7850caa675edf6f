import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Folder } from '../src/io/disk.ts';
import { openNodeFolder } from '../src/io/node/node-folder.ts';
import { replicaMessage } from '../src/replica/replica-message.ts';
import { startTestReplica, type TestReplica } from './replica-fixture.ts';
import { temporaryFolder } from './temporary-folder.ts';

const CREATED = '2026-01-01T00:00:00Z';
const UNUSED = 'volume-snap-two.img';

let where: Awaited<ReturnType<typeof temporaryFolder>>;
let replica: TestReplica;
/** what a look for the file of the unused disk finds: null = it is gone; called first */
let onLook: () => boolean;

/** A replica with one disk beside its chain. */
beforeEach(async () => {
  where = await temporaryFolder();
  onLook = () => true;
  const real = await openNodeFolder(where.path);
  const folder: Folder = new Proxy(real, {
    get: (target, name) => {
      if (name === 'stat')
        return (file: string) => (file === UNUSED && !onLook() ? Promise.resolve(null) : target.stat(file));
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  replica = await startTestReplica(folder);
  const { server } = replica;
  await server.create(1 << 20);
  await server.openEpoch(1, 'e');
  await server.snapshot('one', true, CREATED, {});
  await server.snapshot('two', true, CREATED, {});
  await server.revert('volume-snap-one.img', CREATED);
});

afterEach(async () => {
  await replica.server.close();
  await where.remove();
});

const names = { instanceName: 'r', dataSocketPath: '' };

describe('what a replica tells of a disk beside its chain', () => {
  it('is nothing when the disk is removed while its file is looked for', async () => {
    onLook = () => {
      replica.io.open?.disks.delete(UNUSED);
      return false;
    };
    const message = await replicaMessage(replica.server, names);
    expect(Object.keys(message.disks ?? {})).not.toContain(UNUSED);
    expect(replica.io.open?.fault).toBeNull();
  });

  it('is that the replica has failed when the file is gone', async () => {
    onLook = () => false;
    await replicaMessage(replica.server, names);
    expect(replica.io.open?.fault).toContain(`${UNUSED} is gone`);
  });
});
