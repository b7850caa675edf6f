/**
 * The whole system as a test sees it: started and stopped by its executable, reached by kubectl, REST and its control
 * endpoint.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { chownSync, createWriteStream, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { waitFor } from '@longhorn/engine/testing/wait';
import { at, conditionIsTrue, Kube, NAMESPACE } from './kube.ts';
import { Rest } from './rest.ts';
import { run } from './shell.ts';
import { asNobody, NOBODY } from './unprivileged.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PROGRAM = join(ROOT, 'packages/local-cluster/dist/local-cluster');
const START_MS = 120_000;
const STOP_MS = 60_000;

export interface ClusterOptions {
  /** for local-cluster, which passes NODE_OPTIONS and LONGHORN_POD_* on to all pods */
  env?: NodeJS.ProcessEnv;
  /** of each node's disk (a sparse file: only what is written is used) */
  diskSize?: string;
  /** `nobody`: root starts it without any privileges */
  runsAs?: 'self' | 'nobody';
}

export class Cluster {
  readonly folder: string;
  private readonly instance: number;
  private readonly options: Required<ClusterOptions>;
  private child: ChildProcess | null = null;
  /** started by `npm start`: it is stopped by its lock file's process id and started in the background */
  private isForeign = false;
  private connectedKube: Kube | null = null;
  private connectedRest: Rest | null = null;

  /**
   * @param folder the cluster's data; made when missing
   * @param instance sets clusters on one machine apart: their addresses differ
   */
  constructor(folder: string, instance: number, options: ClusterOptions = {}) {
    this.folder = folder;
    this.instance = instance;
    this.options = { env: {}, diskSize: '12Gi', runsAs: 'self', ...options };
  }

  /** A cluster that somebody else has started. */
  static running(folder: string): Cluster {
    if (!existsSync(join(folder, 'kubeconfig'))) throw new Error(`no cluster runs in ${folder}: npm start first`);
    const cluster = new Cluster(folder, 0);
    cluster.isForeign = true;
    return cluster;
  }

  get kubeconfig(): string {
    return join(this.folder, 'kubeconfig');
  }

  get kube(): Kube {
    this.connectedKube ??= new Kube(this.kubeconfig);
    return this.connectedKube;
  }

  /** REST by the address of the backend service; known once `start` has ended or `connect` was called. */
  get rest(): Rest {
    if (this.connectedRest === null) throw new Error('the cluster is not connected yet');
    return this.connectedRest;
  }

  /** Finds the REST API. */
  async connect(): Promise<void> {
    const service = await this.kube.call('GET', `/api/v1/namespaces/${NAMESPACE}/services/longhorn-backend`);
    const address = at(service, 'spec.clusterIP');
    if (typeof address !== 'string') throw new Error('the service longhorn-backend has no address yet');
    this.connectedRest = new Rest(`http://${address}:9500`);
  }

  /** Environment in which kubectl talks to this cluster. */
  env(): NodeJS.ProcessEnv {
    return { ...process.env, KUBECONFIG: this.kubeconfig };
  }

  kubectl(args: string[], input = '', env: NodeJS.ProcessEnv = {}): Promise<string> {
    return run('kubectl', args, { input, env: { ...this.env(), ...env }, timeoutMs: 90_000 });
  }

  /** Starts it and waits until volumes can be made on every node. */
  async start(): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    const { env, diskSize, runsAs } = this.options;
    if (runsAs === 'nobody') chownSync(this.folder, NOBODY, NOBODY);
    const own = ['--api-port', '0', '--ui-port', '0', '--instance', String(this.instance), '--disk-size', diskSize];
    const { command, args } = this.program([
      'up',
      '--dir',
      this.folder,
      '--nodes',
      '3',
      ...(this.isForeign ? [] : own),
    ]);
    const child = spawn(command, args, {
      cwd: this.folder,
      env: { ...process.env, ...env, ...(runsAs === 'nobody' ? { HOME: this.folder } : {}) },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: this.isForeign,
    });
    this.child = child;
    this.connectedKube = null;
    this.connectedRest = null;
    const log = createWriteStream(join(this.folder, 'local-cluster.log'), { flags: 'a' });
    let tail = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.pipe(log, { end: false });
      stream?.on('data', (chunk: Buffer) => {
        tail = (tail + chunk.toString()).slice(-4000);
      });
    }
    const state = await waitFor<'up' | 'ended'>(
      'the system is up',
      START_MS,
      async () => {
        if (child.exitCode !== null) return 'ended';
        if (!existsSync(this.kubeconfig)) return false;
        this.connectedKube = null; // the port may be another one than that of an earlier start
        await this.connect();
        return (await this.ready()) && 'up';
      },
      async () => `${tail}\n${await this.unready()}`,
    );
    if (state === 'ended') throw new Error(`local-cluster ended with ${child.exitCode}:\n${tail}`);
  }

  private program(args: string[]): { command: string; args: string[] } {
    return this.options.runsAs === 'nobody' ? asNobody(PROGRAM, args) : { command: PROGRAM, args };
  }

  /** Removes it with all its data, after its end; a cluster that was never started is no error. */
  async remove(): Promise<void> {
    const { command, args } = this.program(['reset', '--dir', this.folder]);
    if (existsSync(join(this.folder, 'cluster-id'))) await run(command, args);
  }

  /** What nodes say of themselves and of their disks, for messages. */
  private async unready(): Promise<string> {
    if (!existsSync(this.kubeconfig)) return 'the API server does not answer';
    return JSON.stringify((await this.kube.list('nodes')).map(({ metadata, status }) => ({ [metadata.name]: status })));
  }

  /** All nodes can take replicas, the engine image is deployed, REST answers. */
  async ready(): Promise<boolean> {
    const nodes = await this.kube.list('nodes');
    const images = await this.kube.list('engineimages');
    const schedulable = nodes.filter((node) => {
      const disks = Object.values((at(node, 'status.diskStatus') as object | undefined) ?? {});
      return (
        disks.some((disk: unknown) => conditionIsTrue(disk, 'Schedulable')) && conditionIsTrue(node.status, 'Ready')
      );
    });
    const managers = await this.kube.list('instancemanagers');
    const running = managers.filter((manager) => at(manager, 'status.currentState') === 'running');
    return (
      schedulable.length === 3 &&
      running.length === 3 &&
      images.some((image) => at(image, 'status.state') === 'deployed') &&
      (await this.rest.get<{ data: unknown[] }>('/v1/volumes')).data.length >= 0
    );
  }

  /** SIGTERM and waits for the end; a cluster that does not run is no error. */
  async stop(): Promise<void> {
    const child = this.child;
    this.child = null;
    if (child === null && this.isForeign) return this.stopForeign();
    if (child === null || child.exitCode !== null) return;
    child.kill('SIGTERM');
    await waitFor('local-cluster stops', STOP_MS, () =>
      Promise.resolve(child.exitCode !== null || child.signalCode !== null),
    );
    if (child.exitCode !== 0) throw new Error(`local-cluster ended with ${child.exitCode ?? child.signalCode}`);
  }

  /** Lets a cluster that was started in the background go on without this process. */
  leave(): number | null {
    this.child?.unref();
    for (const stream of [this.child?.stdout, this.child?.stderr]) stream?.destroy();
    return this.child?.pid ?? null;
  }

  private async stopForeign(): Promise<void> {
    const pid = Number(readFileSync(join(this.folder, 'lock'), 'utf8'));
    process.kill(pid, 'SIGTERM');
    await waitFor('local-cluster stops', STOP_MS, () => Promise.resolve(!existsSync(`/proc/${pid}`)));
  }

  async powerCut(node: string): Promise<void> {
    await this.kube.call('POST', `/local/nodes/${node}/power-cut`, {});
  }

  async powerOn(node: string): Promise<void> {
    await this.kube.call('POST', `/local/nodes/${node}/power-on`, {});
  }
}
