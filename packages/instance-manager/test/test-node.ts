/** A node for tests: a daemon on a loopback address of its own, with folders and fake binaries. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import {
  InstanceService,
  ProxyEngineService,
  type InstanceServiceMethods,
  type ProxyEngineServiceMethods,
} from '@longhorn/shared-types/generated/imrpc';
import {
  ProcessManagerService,
  type ProcessManagerServiceMethods,
  type ProcessResponse,
} from '@longhorn/shared-types/generated/nameless';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import { startDaemon, type Daemon } from '../src/daemon.ts';
import type { ProcessLimits } from '../src/limits.ts';

const fake = fileURLToPath(new URL('fake-longhorn.ts', import.meta.url));

/** Each test file has an address of its own, so that files can run at the same time. */
export interface TestNode {
  readonly folder: string;
  readonly daemon: Daemon;
  readonly podIp: string;
  /** binary of an image that is installed */
  binary(image: string): string;
  readonly processes: ServiceClient<ProcessManagerServiceMethods>;
  readonly instances: ServiceClient<InstanceServiceMethods>;
  readonly proxy: ServiceClient<ProxyEngineServiceMethods>;
  /** Lines that clean-up commands have noted. */
  cleanups(): string[];
  hasDevice(volume: string): boolean;
  stop(): Promise<void>;
}

export interface TestNodeOptions {
  podIp: string;
  limits?: Partial<ProcessLimits>;
  /** prepares the node's folder before the daemon starts */
  before?: (runFolder: string) => void;
}

const LIMITS: ProcessLimits = {
  stopGraceMs: 3_000,
  probeIntervalMs: 20,
  probeTotalMs: 10_000,
  replaceWaitMs: 5_000,
  hangPauseMs: 10_000,
  hangRetryMs: 1_000,
  hangCallMs: 5_000,
  hangChecksMax: 3,
};

export async function startTestNode({ podIp, limits, before }: TestNodeOptions): Promise<TestNode> {
  const folder = mkdtempSync(join(tmpdir(), 'instance-manager-'));
  const runFolder = join(folder, 'run');
  mkdirSync(runFolder);
  for (const image of ['image-1', 'image-2']) {
    mkdirSync(join(folder, 'binaries', image), { recursive: true });
    const path = join(folder, 'binaries', image, 'longhorn');
    writeFileSync(path, `#!/bin/sh\nexec "${process.execPath}" "${fake}" "$@"\n`);
    chmodSync(path, 0o755);
  }
  before?.(runFolder);

  const daemon = await startDaemon({
    listen: ':8500',
    logsFolder: join(folder, 'logs'),
    ports: { start: 10_000, end: 10_099 },
    tlsFolder: '',
    binaryFolders: [join(folder, 'binaries')],
    podIp,
    hostRoot: '',
    runFolder,
    env: { ...process.env, POD_IP: podIp, LONGHORN_RUN_DIR: runFolder },
    logger: pino({ level: 'silent' }),
    limits: { ...LIMITS, ...limits },
  });
  const processes = createClient(ProcessManagerService, `${podIp}:8500`);
  const proxy = createClient(ProxyEngineService, `${podIp}:8501`);
  const instances = createClient(InstanceService, `${podIp}:8503`);
  return {
    folder,
    daemon,
    podIp,
    binary: (image) => join(folder, 'binaries', image, 'longhorn'),
    processes,
    instances,
    proxy,
    cleanups: () => {
      const path = join(runFolder, 'cleanups');
      return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
    },
    hasDevice: (volume) => existsSync(join(runFolder, 'devices', `${volume}.json`)),
    stop: async () => {
      for (const client of [processes, proxy, instances]) client.close();
      await daemon.shutdown();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until a process satisfies `test`, by its watch stream and list; no polling. */
export async function untilProcess(
  node: TestNode,
  name: string,
  test: (process: ProcessResponse) => boolean,
): Promise<ProcessResponse> {
  const stream = node.processes.ProcessWatch({});
  const updates = stream[Symbol.asyncIterator]();
  try {
    let next = updates.next();
    const { processes } = await node.processes.ProcessList({});
    const present = processes[name];
    if (present && test(present)) return present;
    for (;;) {
      const update = await next;
      if (update.done) throw new Error('watch ended');
      if (update.value.spec?.name === name && test(update.value)) return update.value;
      next = updates.next();
    }
  } finally {
    stream.cancel();
  }
}
