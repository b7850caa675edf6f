/** The daemon of one node: caches, webhooks, first objects, controllers, API. Stops cleanly in reverse order. */
import type { KubeConfig } from '@kubernetes/client-node';
import type { Logger } from 'pino';
import type { TlsFiles } from '@longhorn/shared-types/grpc/tls';
import {
  bootstrapImages,
  bootstrapNode,
  bootstrapRegistrySecret,
  bootstrapSettings,
  refuseForeignData,
} from './bootstrap.ts';
import type { Clock } from './clock.ts';
import { ChartConfigController } from './controllers/chart-config/controller.ts';
import type { ControllerContext, Images, NodeEnvironment } from './controllers/context.ts';
import { makeControllers } from './controllers/wiring.ts';
import { Datastore } from './datastore/datastore.ts';
import { EventRecorder } from './datastore/event-recorder.ts';
import { KubeHttp } from './datastore/kube-http.ts';
import { InstanceManagers } from './instance-client/instance-managers.ts';
import { blockDeviceAt } from './io/block-device.ts';
import { readHostFacts } from './io/host-facts.ts';
import { measureDisk, prepareDisk, probeDisk } from './io/disk-probe.ts';
import { engineVersions } from './io/engine-binary.ts';
import { removeReplicaData } from './io/replica-data.ts';
import { startApiServer } from './api/api-server.ts';
import { startWebhookServer } from './webhooks/webhook-server.ts';

export interface DaemonOptions {
  kubeConfig: KubeConfig;
  nodeName: string;
  podIp: string;
  podName: string;
  namespace: string;
  serviceAccount: string;
  isUpgradeChecked: boolean;
  images: Images;
  environment: NodeEnvironment;
  tls: TlsFiles | null;
  clock: Clock;
  log: Logger;
  randomBytes: (count: number) => Buffer;
  uuid: () => string;
}

export interface Daemon {
  stop: () => Promise<void>;
}

async function bootstrap(context: ControllerContext): Promise<void> {
  await bootstrapSettings(context);
  // Before the node: they say where its disk is.
  await new ChartConfigController(context).applySettings();
  // After what the chart says, as the DaemonSet is what works; before anything that makes pods.
  await bootstrapRegistrySecret(context);
  await bootstrapNode(context);
  await bootstrapImages(context);
}

export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { clock, log, namespace } = options;
  const transport = new KubeHttp(options.kubeConfig);
  const datastore = new Datastore({ transport, namespace, clock, log });
  const hex = (): string => options.randomBytes(4).toString('hex');
  const events = new EventRecorder({
    transport,
    namespace,
    clock,
    log,
    host: options.nodeName,
    suffix: () => options.randomBytes(8).toString('hex'),
  });
  const managers = new InstanceManagers(options.tls);
  const context: ControllerContext = {
    me: options.nodeName,
    namespace,
    serviceAccount: options.serviceAccount,
    images: options.images,
    environment: options.environment,
    datastore,
    managers,
    io: { probeDisk, prepareDisk, measureDisk, removeReplicaData, engineVersions, readHostFacts, blockDeviceAt },
    events,
    clock,
    log,
    hex,
    uuid: options.uuid,
  };
  await datastore.start();
  log.info('caches are filled');
  const webhooks = await startWebhookServer({
    datastore,
    host: options.podIp,
    podName: options.podName,
    clock,
    log,
    randomBytes: options.randomBytes,
  });
  refuseForeignData(context, options.isUpgradeChecked);
  await bootstrap(context);
  const controllers = makeControllers(context);
  controllers.start();
  log.info({ node: options.nodeName }, 'controllers are running');
  const api = await startApiServer({
    datastore,
    managers,
    host: options.podIp,
    clock,
    log,
    events,
    randomHex: (digits) =>
      options
        .randomBytes(Math.ceil(digits / 2))
        .toString('hex')
        .slice(0, digits),
  });
  return {
    async stop() {
      await api.stop();
      await controllers.stop();
      await webhooks.stop();
      await datastore.stop();
      managers.close();
    },
  };
}
