/** A cluster with real processes, and where root allows, real disks whose power is cut. */
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { builtinType, STORAGE } from '../src/api/builtin-kinds.ts';
import { listAt, stringAt, valueAt, type JsonObject } from '../src/api/json.ts';
import type { KubeObject } from '../src/api/object.ts';
import { plainDelete } from '../src/api/operations.ts';
import { Cluster, type ClusterOptions } from '../src/cluster.ts';
import { machineAfter, machineEnvironment } from '../src/io/environment.ts';
import { currentMounts, loopDevices } from '../src/node/mounts.ts';
import { nodePaths } from '../src/node/paths.ts';
import { Processes } from '../src/node/processes.ts';
import { metadata } from './fixture.ts';

const POD = builtinType(STORAGE.pods);
const isRoot = process.getuid?.() === 0;
const hasLoops = isRoot && existsSync('/dev/loop-control');
if (!hasLoops) console.warn('no root or no loop devices: disks that lose data are not tested');
/** Far from the addresses of a cluster that somebody runs on this machine. */
const INSTANCE = 40;

/** Prints its environment, starts a child that outlives it unless it is killed, serves its address. */
const PROGRAM = `#!${process.execPath}
const { spawn } = require('node:child_process');
const { createServer } = require('node:http');
const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { detached: true, stdio: 'ignore' });
createServer((request, response) => response.end(process.env.NODE_NAME)).listen(8000, process.env.POD_IP, () => {
  console.log('ready ' + JSON.stringify({ ip: process.env.POD_IP, greeting: process.env.GREETING, args: process.argv.slice(2), child: child.pid, self: process.pid }));
});
process.on('SIGTERM', () => { console.log('ending'); process.exit(0); });
`;

interface Ready {
  ip: string;
  greeting: string;
  args: string[];
  child: number;
  self: number;
}

/** A process that has ended but was not waited for has no environment any more: root reads none, others may not read it. */
const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1') !== '';
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'EACCES'].includes(String(error.code)))
      return false;
    throw error;
  }
};

/** Replaces a file by one whose content was synced before. */
function placeSynced(folder: string, name: string, content: string): void {
  const file = openSync(join(folder, `${name}.tmp`), 'w');
  writeSync(file, content);
  fsyncSync(file);
  closeSync(file);
  renameSync(join(folder, `${name}.tmp`), join(folder, name));
}

describe('a cluster', () => {
  let folder = '';
  let cluster: Cluster | null = null;
  let notes: unknown[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lc-'));
    notes = [];
  });
  afterEach(async () => {
    await cluster?.stop();
    cluster = null;
    assert.deepEqual(
      currentMounts().filter((mount) => mount.point.startsWith(folder)),
      [],
    );
    assert.deepEqual(
      loopDevices().filter((loop) => loop.backingFile.startsWith(folder)),
      [],
    );
    assert.deepEqual(await new Processes(machineAfter).marked('LC_TEST', folder), []);
    rmSync(folder, { recursive: true, force: true });
    assert.deepEqual(notes, []);
  });

  function options(change: Partial<ClusterOptions> = {}): ClusterOptions {
    const program = join(folder, 'program.cjs');
    writeFileSync(program, PROGRAM, { mode: 0o755 });
    return {
      folder: join(folder, 'state'),
      nodes: 1,
      instance: INSTANCE,
      apiPort: 0,
      manifests: [],
      images: new Map([['program', { kind: 'program', main: 'serve', executables: { serve: program } }]]),
      diskKind: 'folder',
      diskSizeBytes: 128 << 20,
      nodeGraceMs: 50,
      exposures: [],
      environment: machineEnvironment,
      after: machineAfter,
      inherited: { PATH: process.env['PATH'] ?? '', LC_TEST: folder },
      note: (text, error) => notes.push(text, error),
      ...change,
    };
  }

  async function start(change: Partial<ClusterOptions> = {}): Promise<Cluster> {
    cluster = await Cluster.start(options(change));
    return cluster;
  }

  /** Resolves with an object once it is as wanted. */
  function until(
    on: Cluster,
    storage: string,
    name: string,
    wanted: (object: KubeObject | null) => boolean,
    namespace = 'default',
  ): Promise<KubeObject | null> {
    const { store } = on.operations;
    return new Promise((resolve) => {
      const look = (): boolean => {
        const object = store.get(storage, namespace, name);
        if (!wanted(object)) return false;
        resolve(object);
        return true;
      };
      if (look()) return;
      const end = store.subscribe(storage, () => {
        if (look()) end();
      });
    });
  }

  const isReady = (pod: KubeObject | null): boolean =>
    listAt(valueAt(pod ?? {}, 'status', 'conditions')).some(
      (entry) => valueAt(entry, 'type') === 'Ready' && valueAt(entry, 'status') === 'True',
    );

  const run = (on: Cluster, name: string, spec: JsonObject = {}): Promise<KubeObject> =>
    on.operations.create(POD, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: metadata(name, 'default'),
      spec: {
        nodeName: 'node-1',
        terminationGracePeriodSeconds: 5,
        containers: [
          {
            name: 'c',
            image: 'example/program:v1',
            args: ['hello', '$(POD_NAME)'],
            env: [{ name: 'GREETING', value: 'from $(NODE_NAME)' }],
            readinessProbe: { httpGet: { port: 8000 }, periodSeconds: 1 },
          },
        ],
        ...spec,
      },
    });

  const logOf = (pod: KubeObject): string =>
    readFileSync(
      join(
        nodePaths(join(folder, 'state'), 'node-1').podLogs,
        `default_${pod.metadata.name}_${pod.metadata.uid}`,
        'c.log',
      ),
      'utf8',
    );
  const readyLines = (pod: KubeObject): Ready[] =>
    [...logOf(pod).matchAll(/ready (\{.*\})/g)].map((match) => JSON.parse(match[1] ?? '') as Ready);

  it('runs a pod, restarts what ends, and leaves nothing of it behind', async () => {
    const on = await start();
    const made = await run(on, 'p');
    await until(on, STORAGE.pods, 'p', isReady);
    const [first] = readyLines(made);
    expect(first).toMatchObject({ ip: `127.${INSTANCE + 1}.1.2`, greeting: 'from node-1', args: ['hello', 'p'] });
    process.kill(first?.self ?? 0, 'SIGKILL');
    const again = await until(
      on,
      STORAGE.pods,
      'p',
      (pod) =>
        isReady(pod) && valueAt(listAt(valueAt(pod ?? {}, 'status', 'containerStatuses'))[0], 'restartCount') === 1,
    );
    expect(isAlive(first?.child ?? 0)).toBe(false);
    expect(
      valueAt(listAt(valueAt(again ?? {}, 'status', 'containerStatuses'))[0], 'lastState', 'terminated', 'exitCode'),
    ).toBe(137);
    await on.operations.remove(POD, 'default', 'p');
    await until(on, STORAGE.pods, 'p', (pod) => pod === null);
    const second = readyLines(made)[1];
    expect([isAlive(second?.self ?? 0), isAlive(second?.child ?? 0)]).toEqual([false, false]);
    expect(logOf(made)).toContain('ending');
  });

  it('says why a container cannot start', async () => {
    const on = await start();
    await run(on, 'p', { containers: [{ name: 'c', image: 'somewhere/else:v1' }] });
    const pod = await until(on, STORAGE.pods, 'p', (object) => JSON.stringify(object).includes('CreateContainerError'));
    expect(JSON.stringify(pod)).toContain('is not one that local-cluster maps to a program; it knows program');
  });

  const WEB: JsonObject[] = [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', namespace: 'default' },
      spec: { selector: { app: 'x' }, ports: [{ port: 8080, targetPort: 'web' }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd', namespace: 'default' },
      spec: {
        selector: { matchLabels: { app: 'x' } },
        template: {
          metadata: { labels: { app: 'x' } },
          spec: {
            containers: [
              {
                name: 'c',
                image: 'program',
                ports: [{ name: 'web', containerPort: 8000 }],
                readinessProbe: { tcpSocket: { port: 'web' } },
              },
            ],
          },
        },
      },
    },
  ];

  it('routes a service to a pod that is ready, and a webhook-like name to its port', async () => {
    const on = await start({ manifests: WEB });
    const endpoints = await until(on, STORAGE.endpoints, 's', (object) =>
      JSON.stringify(object).includes('"addresses"'),
    );
    expect(endpoints?.['subsets']).toMatchObject([{ addresses: [{ nodeName: 'node-1' }], ports: [{ port: 8000 }] }]);
    const service = on.operations.store.get(STORAGE.services, 'default', 's');
    const address = stringAt(valueAt(service ?? {}, 'spec', 'clusterIP'));
    expect(await (await fetch(`http://${address}:8080/`)).text()).toBe('node-1');
  });

  it('is refused a folder, a port or addresses that somebody else has', async () => {
    const on = await start();
    await expect(Cluster.start(options())).rejects.toThrow(
      new RegExp(`already runs in .* \\(process ${process.pid}\\)`),
    );
    const other = mkdtempSync(join(tmpdir(), 'lc-other-'));
    await expect(Cluster.start({ ...options(), folder: other })).rejects.toThrow(
      /127\.0\.40\.2 of node-1 .* belongs to another local-cluster/,
    );
    const port = Number(new URL(on.addresses['api'] ?? '').port);
    await expect(Cluster.start({ ...options(), folder: other, instance: INSTANCE + 1, apiPort: port })).rejects.toThrow(
      `port ${port} on 127.0.0.1 is in use`,
    );
    rmSync(other, { recursive: true, force: true });
  });

  it('kills what a cluster of the same folder left running, and nothing else', async () => {
    const first = await start();
    await first.stop();
    cluster = null;
    const id = readFileSync(join(folder, 'state', 'cluster-id'), 'utf8').trim();
    const idle = ['-e', 'process.send("up"); setInterval(() => {}, 1000)'];
    const begin = async (mark: string): Promise<number> => {
      const child = spawn(process.execPath, idle, {
        detached: true,
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        env: { LONGHORN_NODE_MARK: mark },
      });
      await new Promise((resolve) => child.once('message', resolve));
      child.disconnect();
      child.unref();
      return child.pid ?? 0;
    };
    const ours = await begin(`${id}/node-1`);
    const theirs = await begin(`other-${id}/node-1`);
    await start();
    expect([isAlive(ours), isAlive(theirs)]).toEqual([false, true]);
    process.kill(theirs, 'SIGKILL');
  });

  it('finds its objects again after a stop, and starts their pods anew', async () => {
    const first = await start();
    const made = await run(first, 'p');
    await run(first, 'once', { restartPolicy: 'Never' });
    await until(first, STORAGE.pods, 'p', isReady);
    await until(first, STORAGE.pods, 'once', isReady);
    const bootId = readFileSync(nodePaths(join(folder, 'state'), 'node-1').bootId, 'utf8');
    await first.stop();
    const second = await start();
    const pod = await until(second, STORAGE.pods, 'p', (object) => isReady(object) && readyLines(made).length === 2);
    expect(valueAt(pod ?? {}, 'status', 'podIP')).toBe(`127.${INSTANCE + 1}.1.2`);
    expect(second.operations.store.get(STORAGE.pods, 'default', 'once')?.['status']).toMatchObject({
      phase: 'Failed',
      reason: 'NodeRestarted',
    });
    expect(readFileSync(nodePaths(join(folder, 'state'), 'node-1').bootId, 'utf8')).toBe(bootId);
  });

  it.skipIf(!hasLoops)('loses at a power-cut what was not synced, and nothing else', async () => {
    const on = await start({ diskKind: 'ext4', nodes: 2 });
    const paths = nodePaths(join(folder, 'state'), 'node-1');
    const bootId = readFileSync(paths.bootId, 'utf8');
    const made = await run(on, 'p');
    await run(on, 'once', { restartPolicy: 'Never' });
    await until(on, STORAGE.pods, 'p', isReady);
    await until(on, STORAGE.pods, 'once', isReady);
    const [before] = readyLines(made);

    placeSynced(paths.disk, 'record', 'first');
    const synced = openSync(join(paths.disk, 'synced'), 'w+');
    writeSync(synced, Buffer.alloc(1 << 20, 'A'));
    fdatasyncSync(synced);
    const directory = openSync(paths.disk, 'r');
    fsyncSync(directory);
    closeSync(directory);
    writeSync(synced, Buffer.alloc(4096, 'B'), 0, 4096, 0);
    closeSync(synced);
    // Its folder is not synced: which of the two is there afterwards is open, but it is whole.
    placeSynced(paths.disk, 'record', 'second');
    writeFileSync(join(paths.disk, 'unsynced'), 'gone');

    // A mount namespace made meanwhile holds the file system that is cut off.
    const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', 'echo held; exec sleep 600']);
    await new Promise((resolve) => holder.stdout.once('data', resolve));

    await on.powerCut('node-1');
    expect([isAlive(before?.self ?? 0), isAlive(before?.child ?? 0)]).toEqual([false, false]);
    expect(existsSync(join(paths.disk, 'synced'))).toBe(false);
    await until(on, STORAGE.nodes, 'node-1', (node) => JSON.stringify(node).includes('NodeStatusUnknown'), '');
    await until(on, STORAGE.pods, 'p', (pod) => !isReady(pod));
    await on.operations.remove(POD, 'default', 'once', { ...plainDelete });
    expect(on.operations.store.get(STORAGE.pods, 'default', 'once')?.metadata.deletionTimestamp).toBeDefined();

    await on.powerOn('node-1');
    const kept = readFileSync(join(paths.disk, 'synced'));
    expect([kept.length, kept.every((byte) => byte === 65)]).toEqual([1 << 20, true]);
    expect(readFileSync(join(paths.disk, 'record'), 'utf8')).toMatch(/^(first|second)$/);
    expect(existsSync(join(paths.disk, 'unsynced'))).toBe(false);
    expect(readFileSync(paths.bootId, 'utf8')).not.toBe(bootId);
    expect(on.operations.store.get(STORAGE.pods, 'default', 'once')).toBeNull();
    await until(on, STORAGE.pods, 'p', (pod) => isReady(pod) && readyLines(made).length === 2);
    expect(JSON.stringify(on.operations.store.get(STORAGE.nodes, '', 'node-1'))).not.toContain('unreachable');
    holder.kill('SIGKILL');
    await new Promise((resolve) => holder.once('exit', resolve));
  });

  it.skipIf(!isRoot)('drops the packets of a node without power, and only those', async () => {
    const on = await start({ nodes: 2 });
    const [node] = (
      (await (await fetch(`${serverOf(on)}/local/nodes`)).json()) as { nodes: { dropsPackets: string }[] }
    ).nodes;
    if (node?.dropsPackets === 'no')
      return console.warn('neither nft nor iptables works here: packets are not dropped');
    const listening = async (address: string): Promise<{ close: () => void; url: string }> => {
      const server = createServer((_request, response) => response.end('here'));
      await new Promise<void>((resolve) => {
        server.listen(0, address, resolve);
      });
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
      return { close: () => server.closeAllConnections() ?? server.close(), url: `http://${address}:${port}/` };
    };
    const cut = await listening(`127.${INSTANCE + 1}.1.99`);
    const whole = await listening(`127.${INSTANCE + 1}.2.99`);
    await on.powerCut('node-1');
    const answer = (url: string): Promise<string> =>
      fetch(url, { signal: AbortSignal.timeout(400) }).then(
        (response) => response.text(),
        (error: Error) => error.name,
      );
    expect([await answer(cut.url), await answer(whole.url)]).toEqual(['TimeoutError', 'here']);
    await on.powerOn('node-1');
    expect(await answer(cut.url)).toBe('here');
    cut.close();
    whole.close();
  });

  it.skipIf(!isRoot)('forgets what a client sent that gave up before the pod answered', async () => {
    const on = await start({ manifests: WEB, nodeGraceMs: 600_000 });
    const endpoints = await until(on, STORAGE.endpoints, 's', (object) =>
      JSON.stringify(object).includes('"addresses"'),
    );
    const pod = stringAt(valueAt(listAt(valueAt(listAt(endpoints?.['subsets'])[0], 'addresses'))[0], 'ip'));
    const service = on.operations.store.get(STORAGE.services, 'default', 's');
    await on.powerCut('node-1');
    const address = stringAt(valueAt(service ?? {}, 'spec', 'clusterIP'));
    await expect(fetch(`http://${address}:8080/late`, { signal: AbortSignal.timeout(400) })).rejects.toThrow(/timeout/);
    const hex = pod
      .split('.')
      .toReversed()
      .map((part) => Number(part).toString(16).padStart(2, '0'));
    const waiting = `${hex.join('').toUpperCase()}:${(8000).toString(16).toUpperCase()} 02`;
    await vi.waitFor(() => expect(readFileSync('/proc/net/tcp', 'latin1')).not.toContain(waiting));
  });

  const serverOf = (on: Cluster): string =>
    stringAt(
      valueAt(
        listAt(valueAt(JSON.parse(readFileSync(on.kubeconfig, 'utf8')) as JsonObject, 'clusters'))[0],
        'cluster',
        'server',
      ),
    );
});
