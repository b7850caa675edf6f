/** Clients and servers over real sockets. */
import { afterEach, describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor.js';
import { ServerReflection } from '../generated/grpc-reflection-v1.ts';
import { ControllerService, ReplicaService } from '../generated/ptypes.ts';
import { ProcessManagerService } from '../generated/nameless.ts';
import { bindAddress, dialAddress, joinHostPort, splitHostPort } from './address.ts';
import { createClient, type ClientOptions, type ServiceClient } from './client.ts';
import { ClientCache } from './client-cache.ts';
import { containingFile, descriptorWithImports } from './file-descriptor.ts';
import { addHealthService, checkHealth } from './health.ts';
import type { ServerIdentity } from './identity.ts';
import { addReflection } from './reflection.ts';
import { Code, rpcError, RpcError, wrapError } from './rpc-error.ts';
import { createServer, type RpcServer, type ServiceHandlers } from './server.ts';
import { serviceDefinition } from './service.ts';

type Handlers = Partial<ServiceHandlers<NonNullable<(typeof ControllerService)['methods']>>>;
type Engine = ServiceClient<NonNullable<(typeof ControllerService)['methods']>>;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function serve(handlers: Handlers, identity?: ServerIdentity): Promise<string> {
  const server = createServer(identity ? { identity } : {});
  server.add(ControllerService, handlers);
  addHealthService(server, 'once');
  addReflection(server);
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  closers.push(() => server.close());
  return `tcp://127.0.0.1:${port}`;
}

function connect(address: string, options?: ClientOptions): Engine {
  const client = createClient(ControllerService, address, options);
  closers.push(() => client.close());
  return client;
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcError)) throw new Error(`not an RpcError: ${String(error)}`);
  return error;
}

describe('unary calls', () => {
  it('carry messages both ways', async () => {
    const client = connect(await serve({ VolumeExpand: ({ size }) => ({ name: 'v', size, replicas: [{ mode: 1 }] }) }));
    const volume = await client.VolumeExpand({ size: 4096 });
    expect(volume).toMatchObject({ name: 'v', size: 4096, membership: null, replicas: [{ address: null, mode: 1 }] });
  });

  it('reach a server on a unix socket', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'rpc-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const server = createServer();
    server.add(ControllerService, { VolumeGet: () => ({ name: 'here' }) });
    closers.push(() => server.close());
    const socketPath = join(folder, 'test.sock');
    await server.listen({ socketPath });
    expect(await connect(`unix://${socketPath}`).VolumeGet({})).toMatchObject({ name: 'here' });
  });

  it.each([
    ['a plain error', new Error('no luck'), Code.Unknown, 'no luck'],
    ['a bare error', rpcError(Code.NotFound, 'cannot find it'), Code.NotFound, 'cannot find it'],
    [
      'a wrapped error',
      wrapError('failed to get volume', rpcError(Code.Unavailable, 'gone')),
      Code.Unavailable,
      'failed to get volume: rpc error: code = Unavailable desc = gone',
    ],
    [
      'an error wrapped twice',
      wrapError('outer', wrapError('inner', rpcError(Code.FailedPrecondition, 'no'))),
      Code.FailedPrecondition,
      'outer: inner: rpc error: code = FailedPrecondition desc = no',
    ],
  ])('answer %s with its code and text', async (_name, thrown, code, details) => {
    const client = connect(
      await serve({
        VolumeGet: () => {
          throw thrown;
        },
      }),
    );
    const error = await failure(client.VolumeGet({}));
    expect([error.code, error.details]).toEqual([code, details]);
  });

  it('answer Unimplemented where there is no handler, and Internal where the answer does not fit its type', async () => {
    const client = connect(await serve({ VolumeGet: () => ({ size: 2 ** 60 + 0.5 * 2 ** 10 }) }));
    expect((await failure(client.VolumeStart({}))).message).toBe(
      'rpc error: code = Unimplemented desc = method VolumeStart not implemented',
    );
    expect((await failure(client.VolumeGet({}))).code).toBe(Code.Internal);
  });

  it('fail at once when nobody listens, in upstream’s words', async () => {
    const server = createServer();
    const port = await server.listen({ host: '127.0.0.1', port: 0 });
    await server.close();
    const error = await failure(connect(`127.0.0.1:${port}`).VolumeGet({}));
    const dial = `dial tcp 127.0.0.1:${port}: connect: connection refused`;
    expect(error.message).toBe(
      `rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: ${dial}"`,
    );
  });

  it('end at their time limit and when the caller gives up, and tell the handler', async () => {
    const aborted: boolean[] = [];
    let arrive: () => void = () => undefined;
    const hang = ({ signal }: { signal: AbortSignal }): Promise<never> =>
      new Promise((_resolve, reject) => {
        arrive();
        signal.addEventListener('abort', () => {
          aborted.push(true);
          reject(new Error('aborted'));
        });
      });
    const client = connect(await serve({ VolumeGet: (_request, context) => hang(context) }));
    expect((await failure(client.VolumeGet({}, { timeoutMs: 30 }))).code).toBe(Code.DeadlineExceeded);
    const controller = new AbortController();
    // The call before may have ended on its way to the server; this one ends there.
    const arrived = new Promise<void>((resolve) => (arrive = resolve));
    const call = failure(client.VolumeGet({}, { signal: controller.signal }));
    await arrived;
    controller.abort();
    expect((await call).code).toBe(Code.Canceled);
    expect((await failure(client.VolumeGet({}, { signal: controller.signal }))).code).toBe(Code.Canceled);
    await expect.poll(() => aborted.length).toBeGreaterThanOrEqual(1);
  });
});

describe('identity', () => {
  const own: ServerIdentity = { role: 'controller', volumeName: 'v', instanceName: 'v-e-0' };
  it.each([
    [{ volumeName: 'v', instanceName: 'v-e-0' }, null],
    [{}, null],
    [{ volumeName: '' }, null],
    [{ volumeName: 'w', instanceName: 'x' }, 'incorrect volume name w; check controller address'],
    [{ volumeName: 'v', instanceName: 'x' }, 'incorrect instance name x; check controller address'],
  ])('%j is answered with %j', async (identity, details) => {
    const address = await serve({ VolumeGet: () => ({ name: 'v' }) }, own);
    const outcome = await connect(address, { identity })
      .VolumeGet({})
      .then(
        () => null,
        (error: unknown) => (error instanceof RpcError ? error.details : error),
      );
    expect(outcome).toBe(details);
    const health = checkHealth(address, { identity }).then(
      () => null,
      (error: unknown) => (error instanceof RpcError ? error.details : error),
    );
    expect(await health).toBe(details);
  });
});

describe('streams', () => {
  it('deliver their messages and then the error', async () => {
    async function* volumes(): AsyncGenerator<{ epoch: number }> {
      for (let epoch = 0; epoch < 300; epoch++) yield { epoch };
      throw rpcError(Code.FailedPrecondition, 'fenced');
    }
    const client = connect(await serve({ VolumeWatch: volumes }));
    let count = 0;
    const consume = async (): Promise<void> => {
      for await (const { epoch } of client.VolumeWatch({})) expect(epoch).toBe(count++);
    };
    expect((await failure(consume())).details).toBe('fenced');
    expect(count).toBe(300);
  });

  it.each(['cancel', 'signal', 'break'])('end by %s, and the handler learns of it', async (way) => {
    let ended = false;
    async function* endless(_request: object, { signal }: { signal: AbortSignal }): AsyncGenerator<{ epoch: number }> {
      try {
        for (let epoch = 0; !signal.aborted; epoch++) {
          yield { epoch };
          await delay(2);
        }
      } finally {
        ended = true;
      }
    }
    const client = connect(await serve({ VolumeWatch: endless }));
    const controller = new AbortController();
    const stream = client.VolumeWatch({}, { signal: controller.signal });
    for await (const { epoch } of stream) {
      if (epoch < 2) continue;
      if (way === 'break') break;
      if (way === 'cancel') stream.cancel();
      else controller.abort();
    }
    await expect.poll(() => ended).toBe(true);
  });
});

describe('health and reflection', () => {
  it('serve beside the other services', async () => {
    const address = await serve({});
    expect(await checkHealth(address, {})).toBe(true);
  });

  it('describe every service so that an independent reader understands its messages', async () => {
    for (const service of [ControllerService, ReplicaService, ProcessManagerService, ServerReflection]) {
      const file = containingFile([service.file], service.name);
      const files = descriptorWithImports(file).map((bytes) => descriptor.FileDescriptorProto.decode(bytes));
      // The library's reader wants imported files first.
      const root = protobuf.Root.fromDescriptor({ file: files.toReversed() } as never);
      const methods = root.lookupService(service.name).methods;
      expect(Object.keys(methods)).toEqual(Object.keys(serviceDefinition(service)));
    }
    expect(containingFile([ControllerService.file], 'ptypes.ControllerService.VolumeGet')).toBe(ControllerService.file);
    expect(() => containingFile([ControllerService.file], 'ptypes.Nothing')).toThrow(
      'symbol not found: ptypes.Nothing',
    );
  });
});

describe('connections', () => {
  it('are kept per address, with an identity per use', async () => {
    const cache = new ClientCache();
    closers.push(() => cache.close());
    const peers: string[] = [];
    const handlers: Handlers = {
      VolumeGet: (_request, { peer }) => {
        peers.push(peer);
        return { name: 'v' };
      },
    };
    const address = await serve(handlers, { role: 'controller', volumeName: 'v' });
    const get = (volumeName: string): Promise<unknown> =>
      cache.get(ControllerService, address, { identity: { volumeName } }).VolumeGet({});
    await get('v');
    await get('v');
    expect((await failure(get('w'))).code).toBe(Code.FailedPrecondition);
    expect(new Set(peers).size).toBe(1);
  });

  it('reach a server that came up after a failed attempt within seconds', async () => {
    const first = createServer();
    const port = await first.listen({ host: '127.0.0.1', port: 0 });
    await first.close();
    const client = connect(`127.0.0.1:${port}`);
    await failure(client.VolumeGet({}));
    const second: RpcServer = createServer();
    second.add(ControllerService, { VolumeGet: () => ({ name: 'back' }) });
    await second.listen({ host: '127.0.0.1', port });
    closers.push(() => second.close());
    const name = (): Promise<string> =>
      client.VolumeGet({}).then(
        (volume) => volume.name,
        () => '',
      );
    await expect.poll(name, { timeout: 5_000, interval: 100 }).toBe('back');
  });
});

describe('addresses', () => {
  it.each([
    ['tcp://10.0.0.1:10000', '10.0.0.1:10000'],
    ['http://10.0.0.1:10000/v1', '10.0.0.1:10000'],
    ['10.0.0.1:1', '10.0.0.1:1'],
    ['unix:///run/x.sock', 'unix:/run/x.sock'],
  ])('%s is dialled as %s', (given, dialled) => expect(dialAddress(given)).toBe(dialled));

  it('bind to the pod where no host is given', () => {
    expect(bindAddress(':8500', '10.0.0.7')).toEqual({ host: '10.0.0.7', port: 8500 });
    expect(bindAddress(':8500', '')).toEqual({ host: '0.0.0.0', port: 8500 });
    expect(bindAddress('localhost:8500', '10.0.0.7')).toEqual({ host: 'localhost', port: 8500 });
    expect(splitHostPort('[::1]:80')).toEqual({ host: '::1', port: 80 });
    expect(joinHostPort('::1', 80)).toBe('[::1]:80');
    expect(() => splitHostPort('10.0.0.1')).toThrow('write HOST:PORT');
  });
});
