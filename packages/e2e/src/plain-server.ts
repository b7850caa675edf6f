/** local-cluster's API server with one node that has no images of ours, and Longhorn's namespace: for programs that need no more. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { waitFor } from '@longhorn/engine/testing/wait';
import { NAMESPACE } from './kube.ts';

const PROGRAM = resolve(import.meta.dirname, '../../local-cluster/dist/local-cluster');
const START_MS = 60_000;

export class PlainServer {
  readonly kubeconfig: string;
  private readonly child: ChildProcess;

  private constructor(folder: string, child: ChildProcess) {
    this.kubeconfig = join(folder, 'kubeconfig');
    this.child = child;
  }

  /**
   * @param parent the cluster's folder and its manifests are made there
   * @param instance picks the cluster's addresses
   */
  static async start(parent: string, instance: number): Promise<PlainServer> {
    const manifests = join(parent, 'manifests');
    const folder = join(parent, 'cluster');
    mkdirSync(manifests);
    writeFileSync(
      join(manifests, 'namespace.yaml'),
      `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${NAMESPACE} }\n`,
    );
    const words = ['up', '--nodes=1', '--plain-disks', `--instance=${instance}`, '--api-port=0', '--ui-port=0'];
    const child = spawn(PROGRAM, [...words, '--manifests', manifests, '--dir', folder], { stdio: 'ignore' });
    const server = new PlainServer(folder, child);
    await waitFor('the API server', START_MS, () =>
      Promise.resolve(existsSync(server.kubeconfig) && existsSync(join(folder, 'addresses.json'))),
    );
    return server;
  }

  async stop(): Promise<void> {
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}
