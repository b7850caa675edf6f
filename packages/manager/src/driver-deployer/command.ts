/** `longhorn-manager deploy-driver`: flags, each with the environment variable that stands for it. */
import { once } from 'node:events';
import { Option, type Command } from 'commander';
import { systemClock } from '../clock.ts';
import { KubeHttp } from '../datastore/kube-http.ts';
import { endSignal, loadKubeConfig, makeLog } from '../process-setup.ts';
import { BUILD_VERSION } from '../version.ts';
import { deployDriver } from './deployer.ts';
import { driverOptions, type DriverFlags } from './options.ts';

const FLAGS: readonly [flag: string, env: string, description: string][] = [
  ['--kubelet-root-dir <path>', 'KUBELET_ROOT_DIR', 'root folder of kubelet; by default it is looked for'],
  ['--csi-image <image>', 'CSI_IMAGE', 'image of the CSI plugin'],
  ['--csi-attacher-image <image>', 'CSI_ATTACHER_IMAGE', 'image of the sidecar'],
  ['--csi-provisioner-image <image>', 'CSI_PROVISIONER_IMAGE', 'image of the sidecar'],
  ['--csi-resizer-image <image>', 'CSI_RESIZER_IMAGE', 'image of the sidecar'],
  ['--csi-snapshotter-image <image>', 'CSI_SNAPSHOTTER_IMAGE', 'image of the sidecar'],
  ['--csi-node-driver-registrar-image <image>', 'CSI_NODE_DRIVER_REGISTRAR_IMAGE', 'image of the sidecar'],
  ['--csi-liveness-probe-image <image>', 'CSI_LIVENESS_PROBE_IMAGE', 'image of the sidecar'],
  ['--csi-attacher-replica-count <n>', 'CSI_ATTACHER_REPLICA_COUNT', 'pods; default 3'],
  ['--csi-provisioner-replica-count <n>', 'CSI_PROVISIONER_REPLICA_COUNT', 'pods; default 3'],
  ['--csi-resizer-replica-count <n>', 'CSI_RESIZER_REPLICA_COUNT', 'pods; default 3'],
  ['--csi-snapshotter-replica-count <n>', 'CSI_SNAPSHOTTER_REPLICA_COUNT', 'pods; default 3'],
];

async function run(flags: DriverFlags, debug: boolean): Promise<void> {
  const log = makeLog(debug, {});
  const signal = endSignal();
  const deployer = {
    options: driverOptions(flags, process.env),
    version: BUILD_VERSION,
    transport: new KubeHttp(loadKubeConfig(flags['kubeConfig'])),
    fetch,
    clock: systemClock,
    log,
    signal,
  };
  // The clock's timers alone do not keep a process alive.
  const alive = setInterval(() => undefined, 60_000);
  try {
    await deployDriver(deployer);
    // Stays, so that the Deployment counts as available.
    if (!signal.aborted) await once(signal, 'abort');
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(alive);
  }
}

export function addDeployDriverCommand(program: Command): void {
  const command = program
    .command('deploy-driver')
    .description('bring the objects of the CSI driver to what is wanted, and stay')
    .option('--manager-image <image>', 'image that finds the root folder of kubelet')
    .option('--manager-url <url>', "base of the manager's API, with /v1")
    .option('--kube-config <path>', 'kubeconfig; by default that of the pod');
  for (const [flag, env, description] of FLAGS) command.addOption(new Option(flag, description).env(env));
  command.action((flags: DriverFlags) => run(flags, program.opts<{ debug: boolean }>().debug));
}
