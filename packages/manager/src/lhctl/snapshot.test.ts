import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../clock.ts';
import { createSnapshot, parseLabels, type SnapshotRequest } from './snapshot.ts';

interface Reply {
  status?: number;
  json: unknown;
}

/** Time that passes by being waited for. */
function hurriedClock(): Clock {
  let ms = 0;
  return {
    now: () => ms,
    after(delayMs, run) {
      const timer = setImmediate(() => {
        ms += delayMs;
        run();
      });
      return () => clearImmediate(timer);
    },
  };
}

let server: Server;
let asked: string[];
let replies: Record<string, Reply[]>;
let request: SnapshotRequest;

const VOLUMES = {
  data: [
    { name: 'app-data', kubernetesStatus: { pvcName: 'other', namespace: 'shop' } },
    { name: 'pvc-1', kubernetesStatus: { pvcName: 'app-data', namespace: 'shop' } },
    { name: 'pvc-2', kubernetesStatus: { pvcName: 'claim', namespace: 'shop' } },
    { name: 'pvc-3', kubernetesStatus: { pvcName: 'claim', namespace: 'bank' } },
  ],
};
/** As the API answers: without what is empty or false. */
const facts = (readyToUse: boolean, error = ''): Reply => ({
  json: { name: 'snap-1', ...(readyToUse ? { readyToUse } : {}), ...(error === '' ? {} : { error }) },
});

beforeEach(async () => {
  asked = [];
  replies = { 'GET /v1/volumes': [{ json: VOLUMES }] };
  server = createServer((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => (body += chunk.toString()));
    incoming.on('end', () => {
      const what = `${incoming.method} ${incoming.url}`;
      asked.push(`${what} ${body}`.trim());
      const list = replies[what] ?? [];
      const reply = list.length > 1 ? list.shift() : list[0];
      response.statusCode = reply?.status ?? (reply === undefined ? 404 : 200);
      response.end(JSON.stringify(reply?.json ?? { message: 'not found' }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  request = {
    backend: `http://127.0.0.1:${port}/`,
    target: 'app-data',
    namespace: 'shop',
    name: '',
    labels: { by: 'me' },
    timeoutMs: 5000,
    clock: hurriedClock(),
    signal: new AbortController().signal,
  };
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const create = (volume: string): string => `POST /v1/volumes/${volume}?action=snapshotCRCreate`;
const look = (volume: string): string => `POST /v1/volumes/${volume}?action=snapshotCRGet`;

describe('lhctl snapshot create', () => {
  it('takes the volume of that name, even if a claim has it too, and waits until the snapshot is ready', async () => {
    replies[create('app-data')] = [facts(false)];
    replies[look('app-data')] = [facts(false), facts(true)];
    expect(await createSnapshot(request)).toEqual({ volume: 'app-data', snapshot: 'snap-1' });
    expect(asked).toEqual([
      'GET /v1/volumes',
      `${create('app-data')} {"name":"","labels":{"by":"me"}}`,
      `${look('app-data')} {"name":"snap-1"}`,
      `${look('app-data')} {"name":"snap-1"}`,
    ]);
  });

  it('waits on while the volume is being attached, which its snapshot calls an error', async () => {
    replies[create('app-data')] = [facts(false)];
    replies[look('app-data')] = [facts(false, 'the volume engine is not running'), facts(true)];
    expect(await createSnapshot(request)).toMatchObject({ snapshot: 'snap-1' });
  });

  it('takes the volume behind a claim of that name in its namespace', async () => {
    replies[create('pvc-3')] = [facts(true)];
    expect(await createSnapshot({ ...request, target: 'claim', namespace: 'bank' })).toMatchObject({ volume: 'pvc-3' });
  });

  it('says that there is no such volume or claim', async () => {
    await expect(createSnapshot({ ...request, target: 'none' })).rejects.toThrow(
      'there is no volume none, and no claim none in namespace shop',
    );
    expect(asked).toEqual(['GET /v1/volumes']);
  });

  it('says what the manager said, and what became of the snapshot', async () => {
    replies[create('app-data')] = [{ status: 500, json: { message: 'too many snapshots' } }];
    await expect(createSnapshot(request)).rejects.toThrow('too many snapshots');
    replies[create('app-data')] = [facts(false)];
    replies[look('app-data')] = [facts(false, 'no space')];
    await expect(createSnapshot(request)).rejects.toThrow(
      /snap-1 of app-data .* not ready to use after 5 s: no space; see/,
    );
  });

  it('ends after its time, with a word on where to look', async () => {
    replies[create('app-data')] = [facts(false)];
    replies[look('app-data')] = [facts(false)];
    await expect(createSnapshot(request)).rejects.toThrow(/not ready to use after 5 s: see kubectl .* snap-1/);
  });

  it('tells how to name the address of a manager that does not answer', async () => {
    server.close();
    server.closeAllConnections();
    await expect(createSnapshot(request)).rejects.toThrow(/does not answer at .*--backend or LONGHORN_BACKEND/);
  });

  it('wants labels as key=value', () => {
    expect(parseLabels(['a=b', 'c=d=e'])).toEqual({ a: 'b', c: 'd=e' });
    expect(() => parseLabels(['a'])).toThrow('label a is not of the form key=value');
  });
});
