/** The process manager with real children and real gRPC. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkHealth } from '@longhorn/shared-types/grpc/health';
import { Code, RpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { startTestNode, untilProcess, type TestNode } from './test-node.ts';

/** The machine may be busy: waits end at their event, this only bounds them. */
const PATIENT = { timeout: 10_000 };

let node: TestNode;
beforeAll(async () => {
  node = await startTestNode({ podIp: '127.1.201.1', limits: { stopGraceMs: 1_000 } });
});
afterAll(() => node.stop());

const engineArgs = (volume: string, ...extra: string[]): string[] => [
  '--engine-instance-name',
  `${volume}-e-0`,
  'controller',
  volume,
  ...extra,
];

const registered = (): string[] => node.daemon.manager.list().map(({ spec }) => spec.name);

async function createEngine(volume: string, extra: string[] = [], image = 'image-1'): Promise<void> {
  const spec = {
    name: `${volume}-e-0`,
    binary: node.binary(image),
    args: engineArgs(volume, ...extra),
    port_count: 1,
    port_args: ['--listen,:'],
  };
  await node.processes.ProcessCreate({ spec });
}

const isRunning = (process: { status: { state: string } | null }): boolean => process.status?.state === 'running';
const hasEnded = (process: { status: { state: string } | null }): boolean =>
  ['stopped', 'error'].includes(process.status?.state ?? '');

async function deleted(name: string): Promise<void> {
  const gone = untilProcess(node, name, (process) => process.deleted);
  // The watch must be there before the deletion, whose last message it waits for.
  await node.processes.ProcessList({});
  await node.processes.ProcessDelete({ name });
  await gone;
}

async function refusal(promise: Promise<unknown>): Promise<{ code: number; details: string }> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcError)) throw new Error(`expected a refusal, got ${String(error)}`);
  return { code: error.code, details: error.details };
}

describe('a process', () => {
  it('starts, runs once it answers, and ends on delete', async () => {
    await createEngine('life');
    const running = await untilProcess(node, 'life-e-0', isRunning);
    expect(running).toMatchObject({
      spec: { args: [...engineArgs('life'), '--listen', `:${running.status?.port_start}`], port_args: ['--listen,:'] },
      status: { state: 'running', error_msg: '' },
      deleted: false,
    });
    expect(await checkHealth(`${node.podIp}:${running.status?.port_start}`, {})).toBe(true);
    expect(
      (await refusal(node.processes.ProcessCreate({ spec: { name: 'life-e-0', binary: node.binary('image-1') } })))
        .details,
    ).toBe('process life-e-0 already exists');
    const answer = await node.processes.ProcessDelete({ name: 'life-e-0' });
    expect([answer.deleted, answer.status?.state]).toEqual([true, 'stopping']);
    await expect
      .poll(() => node.processes.ProcessGet({ name: 'life-e-0' }).catch((error: unknown) => String(error)), PATIENT)
      .toContain('cannot find process life-e-0');
    expect(node.hasDevice('life')).toBe(false);
  });

  it('that exits is reported within a second, with its exit code', async () => {
    await createEngine('dies', ['--start-delay-ms', '50', '--exit-code', '61']);
    const ended = await untilProcess(node, 'dies-e-0', hasEnded);
    expect(ended.status).toMatchObject({ state: 'error', error_msg: 'exit status 61' });
    await deleted('dies-e-0');
  });

  it('that is killed is reported within a second of its death', async () => {
    await createEngine('killed');
    await untilProcess(node, 'killed-e-0', isRunning);
    const ended = untilProcess(node, 'killed-e-0', hasEnded);
    await node.processes.ProcessList({});
    const before = performance.now();
    process.kill(node.daemon.manager.get('killed-e-0').pid, 'SIGKILL');
    expect((await ended).status).toMatchObject({ state: 'error', error_msg: 'signal: killed' });
    expect(performance.now() - before).toBeLessThan(1_000);
    await deleted('killed-e-0');
  });

  it('that never answers is stopped', async () => {
    const impatient = await startTestNode({ podIp: '127.1.201.2', limits: { probeTotalMs: 300 } });
    try {
      const spec = { name: 'silent-e-0', binary: impatient.binary('image-1'), args: ['idle'], port_count: 1 };
      await impatient.processes.ProcessCreate({ spec });
      const ended = await untilProcess(impatient, 'silent-e-0', hasEnded);
      expect(ended.status).toMatchObject({ state: 'error', error_msg: 'signal: interrupt' });
    } finally {
      await impatient.stop();
    }
  });

  it('that ignores the request to stop is killed after the grace time', async () => {
    await createEngine('deaf', ['--deaf']);
    await untilProcess(node, 'deaf-e-0', isRunning);
    await node.processes.ProcessDelete({ name: 'deaf-e-0' });
    await expect
      .poll(() => node.daemon.manager.list().some(({ spec }) => spec.name === 'deaf-e-0'), PATIENT)
      .toBe(false);
    // Killed: its device is removed for it.
    expect(node.cleanups()).toContain('deaf');
    expect(node.hasDevice('deaf')).toBe(false);
  });

  it.each([
    ['running', { hangPauseMs: 50, hangRetryMs: 50 }],
    ['asked to stop', { hangPauseMs: 60_000, hangRetryMs: 50 }],
  ])('that stands still while %s is killed', async (when, limits) => {
    const watchful = await startTestNode({
      podIp: '127.1.201.3',
      limits: { stopGraceMs: 60_000, hangCallMs: 300, hangChecksMax: 2, ...limits },
    });
    try {
      for (const [name, args] of [
        ['still-e-0', engineArgs('still')],
        ['still-r-1', ['replica', '/tmp/x']],
      ] as const) {
        const spec = { name, binary: watchful.binary('image-1'), args: [...args], port_count: 1 };
        await watchful.processes.ProcessCreate({ spec: { ...spec, port_args: ['--listen,:'] } });
        await untilProcess(watchful, name, isRunning);
        process.kill(watchful.daemon.manager.get(name).pid, 'SIGSTOP');
        const ended = untilProcess(watchful, name, hasEnded);
        if (when === 'asked to stop') await watchful.processes.ProcessDelete({ name });
        expect((await ended).status).toMatchObject({ state: 'error', error_msg: 'signal: killed' });
      }
    } finally {
      await watchful.stop();
    }
  });

  it('without ports runs at once', async () => {
    await node.processes.ProcessCreate({ spec: { name: 'plain', binary: node.binary('image-1'), args: ['idle'] } });
    expect((await untilProcess(node, 'plain', isRunning)).status).toMatchObject({ port_start: 0, port_end: 0 });
    await expect
      .poll(async () => {
        const lines = [];
        for await (const { line } of node.processes.ProcessLog({ name: 'plain' })) lines.push(line);
        return lines;
      }, PATIENT)
      .toEqual(['started idle']);
    await deleted('plain');
  });

  it('whose binary is missing is registered in error', async () => {
    const binary = `${node.folder}/binaries/none/longhorn`;
    const created = await node.processes.ProcessCreate({ spec: { name: 'missing', binary } });
    const ended = hasEnded(created) ? created : await untilProcess(node, 'missing', hasEnded);
    expect(ended.status).toMatchObject({
      state: 'error',
      error_msg: `exec: "${binary}": stat ${binary}: no such file or directory`,
    });
    await deleted('missing');
  });
});

describe('requests', () => {
  const spec = (change: object): object => ({ name: 'x', binary: node.binary('image-1'), ...change });
  it.each([
    ['an empty name', { name: '' }, Code.InvalidArgument, /^missing required argument$/],
    ['a name with a path', { name: '../x' }, Code.InvalidArgument, /invalid process name/],
    ['a name of 300 characters', { name: 'x'.repeat(300) }, Code.InvalidArgument, /invalid process name/],
    ['another program', { binary: '/bin/sh' }, Code.PermissionDenied, /only binaries below/],
    ['a program behind dots', { binary: '/x/../bin/sh' }, Code.PermissionDenied, /only binaries below/],
    ['a program by its bare name', { binary: 'sh' }, Code.PermissionDenied, /only binaries below/],
    ['a negative port count', { port_count: -1 }, Code.Unknown, /^invalid port count -1$/],
    [
      'more port arguments than ports',
      { port_count: 1, port_args: ['a', 'b'] },
      Code.Unknown,
      /^too many port args \[a b\] for port count 1$/,
    ],
    [
      'more ports than there are',
      { port_count: 200 },
      Code.Unknown,
      /^cannot allocate 200 ports for x: failed to allocate 200 ports: cannot find an empty port range$/,
    ],
    ['a zero byte', { args: ['a\0b'] }, Code.InvalidArgument, /zero byte/],
  ])('with %s are refused', async (_name, change, code, text) => {
    const answer = await refusal(node.processes.ProcessCreate({ spec: spec(change) }));
    expect(answer.code).toBe(code);
    expect(answer.details).toMatch(text);
    expect(registered()).toEqual([]);
  });

  it('without a spec or for unknown names are refused', async () => {
    expect((await refusal(node.processes.ProcessCreate({}))).code).toBe(Code.InvalidArgument);
    expect(await refusal(node.processes.ProcessGet({ name: 'no' }))).toEqual({
      code: Code.NotFound,
      details: 'cannot find process no',
    });
    expect((await refusal(node.instances.InstanceCreate({ spec: { name: 'x' } }))).details).toBe(
      'ProcessInstanceSpec is required for longhorn data engine',
    );
    expect(await refusal(node.instances.InstanceGet({ name: 'x', data_engine: 7 }))).toEqual({
      code: Code.Unimplemented,
      details: 'unsupported data engine 7',
    });
    expect((await refusal(node.proxy.VolumeGet({ address: '1.2.3.4:5', data_engine: 1 }))).details).toBe(
      'unsupported data engine DATA_ENGINE_V2',
    );
    expect((await refusal(node.proxy.VolumeExpand({}))).code).toBe(Code.InvalidArgument);
    expect((await refusal(node.proxy.SnapshotBackup({}))).code).toBe(Code.Unimplemented);
  });

  it('for versions are answered on both services', async () => {
    const expected = {
      instanceManagerAPIVersion: 6,
      instanceManagerAPIMinVersion: 1,
      instanceManagerProxyAPIVersion: 5,
    };
    expect(await node.processes.VersionGet({})).toMatchObject(expected);
    expect(await node.instances.VersionGet({})).toMatchObject(expected);
  });
});

describe('instances', () => {
  it('are the processes, and their watch tells when it has begun and then each change, without content', async () => {
    const stream = node.instances.InstanceWatch({});
    const updates = stream[Symbol.asyncIterator]();
    expect((await updates.next()).value).toEqual({});
    const change = updates.next();
    await node.instances.InstanceCreate({
      spec: {
        name: 'inst-r-12345678',
        type: 'replica',
        port_count: 10,
        port_args: ['--listen,:'],
        process_instance_spec: { binary: node.binary('image-1'), args: ['replica', '/tmp/x'] },
      },
    });
    expect((await change).value).toEqual({});
    const { instances } = await node.instances.InstanceList({});
    expect(instances['inst-r-12345678']).toMatchObject({
      spec: { type: 'replica', data_engine: 0, process_instance_spec: { binary: node.binary('image-1') } },
      status: { target_port_start: 0 },
    });
    await untilProcess(node, 'inst-r-12345678', isRunning);
    const answer = await node.instances.InstanceDelete({ name: 'inst-r-12345678', type: 'replica' });
    expect(answer).toMatchObject({ deleted: true, spec: { type: 'replica' } });
    stream.cancel();
    await expect.poll(() => registered()).toEqual([]);
  });
});

describe('replace', () => {
  const spec = (image: string, extra: string[]): object => ({
    name: 'up-e-0',
    binary: node.binary(image),
    args: engineArgs('up', ...extra),
    port_count: 1,
    port_args: ['--listen,:'],
  });
  it('starts the new engine beside the old one and then ends the old one, keeping the device', async () => {
    await createEngine('up');
    const old = await untilProcess(node, 'up-e-0', isRunning);
    const replace = (image: string, extra: string[] = [], signal = 'SIGHUP') =>
      node.processes.ProcessReplace({ spec: spec(image, extra), terminate_signal: signal });
    expect((await refusal(replace('image-2', [], 'SIGTERM'))).details).toBe("doesn't support terminate signal SIGTERM");
    expect((await replace('image-1')).status?.uuid).toBe(old.status?.uuid);
    expect((await refusal(replace('image-2', ['--exit-code', '1']))).details).toBe(
      'failed to start replacement process up-e-0',
    );
    expect((await node.processes.ProcessGet({ name: 'up-e-0' })).status?.uuid).toBe(old.status?.uuid);
    const next = await replace('image-2');
    expect(next.status).toMatchObject({ state: 'running' });
    expect(next.status?.uuid).not.toBe(old.status?.uuid);
    expect(next.status?.port_start).not.toBe(old.status?.port_start);
    expect(node.hasDevice('up')).toBe(true);
    expect(node.cleanups()).not.toContain('up');
    await deleted('up-e-0');
    expect(node.hasDevice('up')).toBe(false);
  });
});

describe('the proxy', () => {
  it('reaches an engine with its identity, and passes errors on with their code and text', async () => {
    await createEngine('via');
    const running = await untilProcess(node, 'via-e-0', isRunning);
    const address = `${node.podIp}:${running.status?.port_start}`;
    const request = { address, volume_name: 'via', engine_name: 'via-e-0' };
    expect((await node.proxy.VolumeGet(request)).volume).toMatchObject({ name: 'via', size: 4096 });
    expect(await refusal(node.proxy.VolumeGet({ ...request, volume_name: 'other' }))).toEqual({
      code: Code.FailedPrecondition,
      details:
        `failed to get volume ${address}: rpc error: code = FailedPrecondition ` +
        'desc = incorrect volume name other; check controller address',
    });
    const epochs = [];
    for await (const { volume } of node.proxy.VolumeWatch(request)) {
      epochs.push(volume?.epoch);
      if (epochs.length === 3) break;
    }
    expect(epochs).toEqual([1, 2, 3]);
    await deleted('via-e-0');
    const gone = await refusal(node.proxy.VolumeGet(request));
    expect(gone.code).toBe(Code.Unavailable);
    expect(gone.details).toContain('connect: connection refused');
  });
});

describe('the daemon', () => {
  it('frees ports and closes logs of what is gone', () => {
    expect(registered()).toEqual([]);
    expect(existsSync(`${node.folder}/logs/life-e-0.log`)).toBe(true);
    expect(readFileSync(`${node.folder}/logs/life-e-0.log`, 'utf8')).toContain(
      'started --engine-instance-name life-e-0',
    );
  });
});
