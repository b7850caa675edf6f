import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataClient, frame } from '../../test/data-client.ts';
import { startReplicaIn, type StartedReplica } from '../../test/replica-process.ts';
import { temporaryFolder } from '../../test/temporary-folder.ts';
import { DATA_CONNECTIONS_MAX } from '../limits.ts';
import { FRAME_HELLO, FRAME_PING, FRAME_READ, FRAME_RESPONSE, FRAME_WRITE } from '../protocol/replica-frame.ts';
import { dataSocketPath } from './data-socket-path.ts';

const SIZE = 32 << 20;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let replica: StartedReplica;
let clients: DataClient[];

beforeEach(async () => {
  folder = await temporaryFolder();
  clients = [];
  replica = await startReplicaIn(join(folder.path, 'r', 'replica'), SIZE, {
    isSyncAgentOn: false,
  });
});

afterEach(async () => {
  for (const client of clients) client.end();
  await replica.end();
  await folder.remove();
});

async function connect(how: 'tcp' | 'unix'): Promise<DataClient> {
  const where = how === 'tcp' ? { port: replica.dataPort, host: '127.0.0.1' } : { path: replica.dataSocketPath };
  const client = await DataClient.connect(where);
  clients.push(client);
  return client;
}

describe('data server', () => {
  it.each(['tcp', 'unix'] as const)('moves large and small frames over %s', async (how) => {
    await replica.control.ReplicaOpenEpoch({ epoch: 2, engineName: 'e' });
    const client = await connect(how);
    const large = Buffer.alloc(3 << 20, 'L');
    client.send(
      frame(1, FRAME_HELLO, 2, 0),
      frame(2, FRAME_WRITE, 4096, large.length, large),
      frame(3, FRAME_WRITE, 0, 4096, Buffer.alloc(4096, 's')),
      frame(4, FRAME_READ, 0, 4096 + large.length),
      frame(5, FRAME_PING, 0, 0),
    );
    const answers = await client.answers(5);
    expect(new Set(answers.map(({ seq, type }) => `${seq} ${type}`))).toEqual(
      new Set([1, 2, 3, 4, 5].map((seq) => `${seq} ${FRAME_RESPONSE}`)),
    );
    const data = answers.find(({ seq }) => seq === 4)?.data;
    expect(data?.equals(Buffer.concat([Buffer.alloc(4096, 's'), large]))).toBe(true);
  });

  it('cuts the connections of a replaced engine', async () => {
    await replica.control.ReplicaOpenEpoch({ epoch: 2, engineName: 'e' });
    const old = await connect('tcp');
    old.send(frame(1, FRAME_HELLO, 2, 0));
    await old.answers(1);
    await replica.control.ReplicaOpenEpoch({ epoch: 3, engineName: 'f' });
    await old.closed();
    await expect(replica.control.ReplicaOpenEpoch({ epoch: 2, engineName: 'e' })).rejects.toThrow(
      'epoch 2 is fenced by epoch 3',
    );
    const { replica: told } = await replica.control.ReplicaGet({});
    expect(told).toMatchObject({ epoch: 3, state: 'open', capabilities: ['flush', 'epoch', 'regions', 'keyed-hash'] });
  });

  it('survives garbage and goes on for others', async () => {
    await replica.control.ReplicaOpen({});
    const garbage = await connect('tcp');
    garbage.send(Buffer.alloc(5 << 20, 0x5a));
    await garbage.closed();
    const half = await connect('unix');
    half.send(frame(1, FRAME_WRITE, 0, 8192, Buffer.alloc(8192, 'h')).subarray(0, 5000));
    half.socket.end();
    await half.closed();
    const good = await connect('tcp');
    good.send(frame(1, FRAME_PING, 0, 0));
    expect(await good.answers(1)).toMatchObject([{ seq: 1, type: FRAME_RESPONSE }]);
  });

  it('takes a bounded number of connections', async () => {
    for (let i = 0; i < DATA_CONNECTIONS_MAX; i++) {
      const client = await connect('unix');
      client.send(frame(1, FRAME_PING, 0, 0));
      await client.answers(1);
    }
    const further = await connect('unix');
    await further.closed();
    expect(further.isClosed).toBe(true);
  });

  it('removes its socket file when it ends', async () => {
    const path = replica.dataSocketPath;
    expect(existsSync(path)).toBe(true);
    await replica.stop();
    expect(existsSync(path)).toBe(false);
  });

  it('keeps socket paths below the limit of the kernel', () => {
    expect(dataSocketPath('/run/l', 'v-r-1')).toBe('/run/l/data/v-r-1.sock');
    const long = dataSocketPath(`/run/${'x'.repeat(60)}`, 'v'.repeat(60));
    expect(long).toMatch(/\/data\/[0-9a-f]{16}\.sock$/);
  });
});
