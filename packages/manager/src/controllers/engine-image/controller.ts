/** Engine images: their DaemonSet, where they are deployed, who uses them. One manager acts, wherever it is. */
import { engineImageDaemonSetName, LABEL, type EngineImage } from '@longhorn/shared-types';
import { CORE_RESOURCES } from '../../datastore/core-kinds.ts';
import { isAlreadyExists } from '../../datastore/kube-transport.ts';
import { binaryPath } from '../../instance-client/process-arguments.ts';
import type { EngineVersions } from '../../io/engine-binary.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { responsible, settingsOf, type ControllerContext } from '../context.ts';
import { engineImageDaemonSet } from './daemon-set.ts';
import { planEngineImage } from './plan.ts';

const VERSION_RETRY_MS = 5_000;

export class EngineImageController {
  readonly #context: ControllerContext;
  readonly #versions = new Map<string, EngineVersions>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me, clock } = this.#context;
    const image = datastore.stores.EngineImage.get(name);
    if (image === null || !responsible(this.#context, '', image.status.ownerID)) return done;
    if (image.status.ownerID !== me) {
      const mine = structuredClone(image);
      mine.status.ownerID = me;
      await datastore.saveStatus('EngineImage', image, mine);
      return { kind: 'waiting', untilMs: clock.now() };
    }
    if (image.metadata.deletionTimestamp !== null) {
      await datastore.removeFinalizer('EngineImage', image);
      return done;
    }
    const plan = planEngineImage({
      nowMs: clock.now(),
      image,
      isDefault:
        image.spec.image === (settingsOf(this.#context).get('default-engine-image') || this.#context.images.engine),
      hasDaemonSet: datastore.daemonSets.get(engineImageDaemonSetName(name)) !== null,
      nodes: datastore.stores.Node.list(),
      pods: datastore.pods.list().filter((pod) => pod.metadata.labels[LABEL.engineImage] === name),
      refCount: this.#users(image.spec.image),
      versions: await this.#versionsOf(image),
    });
    await datastore.saveStatus('EngineImage', image, { ...image, status: plan.status });
    if (plan.createDaemonSet) await this.#createDaemonSet(image);
    if (plan.expired) await datastore.delete('EngineImage', name, { propagationPolicy: 'Foreground' });
    if (!this.#versions.has(image.spec.image) && plan.status.nodeDeploymentMap[me] === true)
      return { kind: 'waiting', untilMs: clock.now() + VERSION_RETRY_MS };
    return plan.requeueAtMs === null ? done : { kind: 'waiting', untilMs: plan.requeueAtMs };
  }

  #users(image: string): number {
    const { Volume, Engine, Replica } = this.#context.datastore.stores;
    const volumes = Volume.list().filter(({ spec, status }) => spec.image === image || status.currentImage === image);
    const engines = Engine.list().filter(({ spec, status }) => spec.image === image || status.currentImage === image);
    const replicas = Replica.list().filter(({ spec, status }) => spec.image === image || status.currentImage === image);
    return volumes.length + engines.length + replicas.length;
  }

  /** The binary is asked once per life of this manager. */
  async #versionsOf(image: EngineImage): Promise<EngineVersions | null> {
    const { environment, me, log, io } = this.#context;
    const known = this.#versions.get(image.spec.image);
    if (known !== undefined) return known;
    if (image.status.nodeDeploymentMap[me] !== true) return null;
    try {
      const versions = await io.engineVersions(binaryPath(environment, image.spec.image));
      if (versions !== null) this.#versions.set(image.spec.image, versions);
      return versions;
    } catch (error) {
      log.warn({ image: image.spec.image, err: error }, 'engine binary does not tell its version');
      return null;
    }
  }

  async #createDaemonSet(image: EngineImage): Promise<void> {
    const { datastore } = this.#context;
    const object = engineImageDaemonSet(this.#context, image, settingsOf(this.#context));
    try {
      await datastore.transport.create(CORE_RESOURCES.daemonSets, datastore.namespace, object);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
}
