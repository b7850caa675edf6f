/**
 * Carries out the plan of a volume. The order of the writes matters: replicas, then engines, then the volume's status.
 * What is in the status rests on what was written before it, so a crash in between is made up for by the next pass.
 */
import type { Replica, Volume } from '@longhorn/shared-types';
import { backoffMs } from '../../clock.ts';
import { limits } from '../../limits.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { recordAll, responsible, type ControllerContext } from '../context.ts';
import { makeAttachment } from './lifecycle.ts';
import { observeDevice, observeVolume } from './observe.ts';
import { planVolume } from './plan.ts';
import { currentEngine, type VolumeDraft, type VolumeWorld } from './world.ts';

const COMPONENT = 'longhorn-volume-controller';

interface ReuseMemory {
  tries: number;
  notBeforeMs: number;
}

export class VolumeController {
  readonly #context: ControllerContext;
  /** Failed replicas that were tried again, by name. */
  readonly #reuse = new Map<string, ReuseMemory>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me, clock } = this.#context;
    const volume = datastore.stores.Volume.get(name);
    if (volume === null || !responsible(this.#context, volume.spec.nodeID, volume.status.ownerID)) return done;
    if (volume.status.ownerID !== me) {
      const mine = structuredClone(volume);
      mine.status.ownerID = me;
      await datastore.saveStatus('Volume', volume, mine);
      return { kind: 'waiting', untilMs: clock.now() };
    }
    const device = await observeDevice(this.#context, volume);
    const world = observeVolume(this.#context, volume, this.#reuseTimes(), device);
    const draft = planVolume(world);
    await this.#carryOut(world, draft);
    // What a volume waits for may come without an event of its relatives (a disk that is back, a back-off that is over).
    const lookAgainMs = draft.volume.status.blockedBy.length > 0 ? clock.now() + limits.blockedVolumeLookMs : null;
    const wanted = [draft.requeueAtMs, lookAgainMs].filter((at) => at !== null);
    if (wanted.length === 0) return done;
    return { kind: 'waiting', untilMs: Math.max(Math.min(...wanted), clock.now() + limits.retryDelayMinMs) };
  }

  async #carryOut(world: VolumeWorld, draft: VolumeDraft): Promise<void> {
    const { datastore } = this.#context;
    await this.#createObjects(draft);
    for (const replica of draft.replicas) {
      const base = world.replicas.find(({ metadata }) => metadata.name === replica.metadata.name);
      if (base !== undefined) await datastore.saveMain('Replica', base, replica);
    }
    this.#noteReuse(world, draft);
    const engine = currentEngine(world);
    if (engine !== null && draft.engine !== null) await datastore.save('Engine', engine, draft.engine);
    for (const { kind, name } of draft.deletions) await datastore.delete(kind, name);
    const stored = await this.#saveVolume(world.volume, draft.volume);
    recordAll(this.#context, COMPONENT, stored, draft.events);
    if (draft.removesFinalizer) await datastore.removeFinalizer('Volume', stored);
  }

  async #createObjects(draft: VolumeDraft): Promise<void> {
    const { datastore } = this.#context;
    if (draft.newEngine !== null) await datastore.create('Engine', draft.newEngine);
    for (const replica of draft.newReplicas) await datastore.create('Replica', withLabels(replica));
    if (draft.newSnapshot !== null) await datastore.create('Snapshot', draft.newSnapshot);
    if (draft.createsAttachment) await datastore.create('VolumeAttachment', makeAttachment(draft.volume));
  }

  /** The status goes with the version that its object has by then. */
  async #saveVolume(base: Volume, wanted: Volume): Promise<Volume> {
    return this.#context.datastore.save('Volume', base, wanted);
  }

  #reuseTimes(): ReadonlyMap<string, number> {
    return new Map([...this.#reuse].map(([name, { notBeforeMs }]) => [name, notBeforeMs]));
  }

  /** The first try on a failed replica is immediate; further ones wait longer and longer, until it is good again. */
  #noteReuse(world: VolumeWorld, draft: VolumeDraft): void {
    const nowMs = this.#context.clock.now();
    for (const name of draft.reused) {
      const tries = (this.#reuse.get(name)?.tries ?? 0) + 1;
      const notBeforeMs = nowMs + backoffMs(limits.replicaReuseDelayMinMs, limits.replicaReuseDelayMaxMs, tries);
      this.#reuse.set(name, { tries, notBeforeMs });
    }
    const good = draft.replicas.filter(({ spec }) => spec.healthyAt !== '' && spec.failedAt === '');
    for (const { metadata } of good) this.#reuse.delete(metadata.name);
    if (draft.removesFinalizer) for (const { metadata } of world.replicas) this.#reuse.delete(metadata.name);
  }
}

function withLabels(replica: Replica): Replica {
  const labels = {
    ...replica.metadata.labels,
    longhornnode: replica.spec.nodeID,
    longhorndiskuuid: replica.spec.diskID,
  };
  return { ...replica, metadata: { ...replica.metadata, labels } };
}
