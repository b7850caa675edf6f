import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManagerClient } from './manager-client.ts';
import { ManagerFault, ManagerUnreachable } from './manager-fault.ts';
import { decodeResource } from './rest-decoder.ts';

const noSignal = new AbortController().signal;
let server: Server;
let seen: string[];
let answer: (response: ServerResponse, count: number) => void;
let client: ManagerClient;

beforeEach(async () => {
  seen = [];
  server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${body}`.trim());
      answer(response, seen.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  client = new ManagerClient({
    baseUrl: `http://127.0.0.1:${port}/v1/`,
    clock: { now: () => 0, sleep: () => Promise.resolve() },
    fetch,
    timeoutMs: 2000,
  });
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const json =
  (value: unknown, status = 200) =>
  (response: ServerResponse) => {
    response.statusCode = status;
    response.end(JSON.stringify(value));
  };
/** The first `times` calls are cut off, the next ones answered. */
const cut = (times: number, then: (response: ServerResponse) => void) => (response: ServerResponse, count: number) => {
  if (count <= times) response.destroy();
  else then(response);
};
const volume = decodeResource('volume', {
  id: 'v',
  state: 'attached',
  robustness: 'healthy',
  actions: { attach: '', expand: '' },
});

describe('the manager', () => {
  it('is asked again for what may be asked twice, and sent once what may not', async () => {
    answer = cut(2, json({ id: 'v', name: 'v', size: '5', replicas: null }));
    expect(await client.find('volume', 'volumes', 'v', noSignal)).toMatchObject({ id: 'v', size: '5', replicas: [] });
    expect(seen).toEqual(['GET /v1/volumes/v', 'GET /v1/volumes/v', 'GET /v1/volumes/v']);

    seen = [];
    answer = cut(1, json({}));
    await expect(client.createVolume({ name: 'v' }, noSignal)).rejects.toThrow(ManagerUnreachable);
    expect(seen).toEqual(['POST /v1/volumes {"name":"v"}']);

    seen = [];
    await client.act(volume, 'attach', { hostId: 'n' }, { repeatable: true, signal: noSignal });
    expect(seen).toEqual([
      'POST /v1/volumes/v?action=attach {"hostId":"n"}',
      'POST /v1/volumes/v?action=attach {"hostId":"n"}',
    ]);

    seen = [];
    answer = cut(9, json({}));
    await expect(client.list('volume', 'volumes', noSignal)).rejects.toThrow(/does not answer: GET http/);
    expect(seen).toHaveLength(3);
  });

  it('that refuses is not asked again, and its sentence is kept', async () => {
    answer = json({ type: 'error', status: 500, message: 'specified disk tag x does not exist' }, 500);
    const refused = await client.list('volume', 'volumes', noSignal).catch((error: unknown) => error);
    expect(refused).toEqual(new ManagerFault(500, 'specified disk tag x does not exist'));
    expect(seen).toHaveLength(1);
  });

  it('says by 404 that something is not there', async () => {
    answer = (response) => {
      response.statusCode = 404;
      response.end();
    };
    expect(await client.find('volume', 'volumes', 'a/b', noSignal)).toBeNull();
    expect(seen).toEqual(['GET /v1/volumes/a%2Fb']);
    await client.deleteVolume('v', noSignal);
  });

  it('is not asked for what it does not offer', async () => {
    await expect(client.act(volume, 'detach', {}, { repeatable: true, signal: noSignal })).rejects.toThrow(
      'volume v is attached (healthy) and does not offer detach',
    );
    expect(seen).toEqual([]);
  });

  it('is not waited for by a caller that is gone', async () => {
    answer = () => {};
    const caller = new AbortController();
    const asked = client.find('volume', 'volumes', 'v', caller.signal).catch((error: unknown) => error);
    caller.abort(new Error('gone'));
    expect(await asked).toEqual(new Error('gone'));
  });

  it.each([
    ['no JSON', (response: ServerResponse) => response.end('<html>'), /not answered in JSON/],
    ['no list', json({ data: 5 }), /data should be a list of volume/],
    ['a field of another type', json({ data: [{ id: 'v', size: 5 }] }), /size should be string, it is number/],
    [
      'a list where an object belongs',
      json({ data: [{ id: 'v', kubernetesStatus: [] }] }),
      /kubernetesStatus should be/,
    ],
  ])('that answers with %s is not understood', async (_name, wrong, message) => {
    answer = wrong;
    await expect(client.list('volume', 'volumes', noSignal)).rejects.toThrow(message);
  });
});
