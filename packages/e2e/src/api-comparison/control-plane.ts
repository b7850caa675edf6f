/**
 * A real API server without nodes: etcd, kube-apiserver and kube-controller-manager as processes of this machine, for
 * comparisons where no cluster is at hand. Everything is in one folder and ends with `stop`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { waitFor } from '@longhorn/engine/testing/wait';
import { run } from '../shell.ts';
import { Endpoint } from './endpoint.ts';

const START_MS = 120_000;
const TOKEN = 'api-comparison';

export interface Programs {
  etcd: string;
  apiServer: string;
  controllerManager: string;
}

/** ETCD, KUBE_APISERVER and KUBE_CONTROLLER_MANAGER; `null` when they are not all given. */
export function programsFrom(environment: NodeJS.ProcessEnv): Programs | null {
  const { ETCD: etcd, KUBE_APISERVER: apiServer, KUBE_CONTROLLER_MANAGER: controllerManager } = environment;
  if (etcd === undefined || apiServer === undefined || controllerManager === undefined) return null;
  return { etcd, apiServer, controllerManager };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  server.close();
  await once(server, 'close');
  if (bound === null || typeof bound === 'string') throw new Error('there is no free port');
  return bound.port;
}

export class ControlPlane {
  readonly kubeconfig: string;
  readonly #folder: string;
  readonly #programs: Programs;
  readonly #children: ChildProcess[] = [];

  constructor(folder: string, programs: Programs) {
    this.#folder = folder;
    this.#programs = programs;
    this.kubeconfig = join(folder, 'kubeconfig');
  }

  #start(name: string, program: string, args: string[]): void {
    const log = openSync(join(this.#folder, `${name}.log`), 'a');
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    child.once('error', () => undefined);
    this.#children.push(child);
  }

  async start(): Promise<void> {
    const inside = (name: string): string => join(this.#folder, name);
    mkdirSync(this.#folder, { recursive: true });
    const [client, peer, port] = [await freePort(), await freePort(), await freePort()];
    await run('openssl', ['genrsa', '-out', inside('sa.key'), '2048']);
    writeFileSync(inside('tokens.csv'), `${TOKEN},admin,admin,system:masters\n`);
    const urls = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
    this.#start('etcd', this.#programs.etcd, [
      `--data-dir=${inside('etcd')}`,
      '--unsafe-no-fsync',
      `--listen-client-urls=${urls[0]}`,
      `--advertise-client-urls=${urls[0]}`,
      `--listen-peer-urls=${urls[1]}`,
      `--initial-advertise-peer-urls=${urls[1]}`,
      `--initial-cluster=default=${urls[1]}`,
    ]);
    this.#start('kube-apiserver', this.#programs.apiServer, [
      `--etcd-servers=${urls[0]}`,
      '--bind-address=127.0.0.1',
      `--secure-port=${port}`,
      `--cert-dir=${inside('certificates')}`,
      '--service-cluster-ip-range=10.96.0.0/16',
      `--token-auth-file=${inside('tokens.csv')}`,
      '--authorization-mode=RBAC',
      `--service-account-key-file=${inside('sa.key')}`,
      `--service-account-signing-key-file=${inside('sa.key')}`,
      '--service-account-issuer=https://kubernetes.default.svc',
    ]);
    writeFileSync(inside('kubeconfig-insecure'), this.#kubeconfig(port, 'insecure-skip-tls-verify: true'));
    await waitFor('the API server has its certificate', START_MS, () =>
      run('sh', ['-c', `test -s ${inside('certificates/apiserver.crt')} && echo yes`]),
    );
    const authority = `certificate-authority: ${inside('certificates/apiserver.crt')}`;
    writeFileSync(this.kubeconfig, this.#kubeconfig(port, authority));
    const endpoint = new Endpoint(this.kubeconfig);
    const ask = { method: 'GET', path: '/readyz', body: null, headers: {}, lines: null, anonymous: false };
    await waitFor('the API server is ready', START_MS, async () => (await endpoint.send(ask)).status === 200);
    this.#start('kube-controller-manager', this.#programs.controllerManager, [
      `--kubeconfig=${inside('kubeconfig-insecure')}`,
      `--service-account-private-key-file=${inside('sa.key')}`,
      '--use-service-account-credentials=false',
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${await freePort()}`,
      `--cert-dir=${inside('certificates-of-controllers')}`,
    ]);
  }

  #kubeconfig(port: number, trust: string): string {
    return `apiVersion: v1
kind: Config
current-context: compare
contexts: [{ name: compare, context: { cluster: compare, user: compare } }]
clusters:
  - name: compare
    cluster:
      server: https://127.0.0.1:${port}
      ${trust}
users: [{ name: compare, user: { token: ${TOKEN} } }]
`;
  }

  async stop(): Promise<void> {
    for (const child of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
}
