/**
 * The process of a replica on its node, and the end of its data. Only the manager of the replica's own node removes
 * data; when that node is away for good or the volume is deleted meanwhile, what is left there is noted as an Orphan
 * that the node's manager removes once it is back.
 */
import {
  FINALIZER,
  LABEL,
  newObject,
  orphanDataName,
  type InstanceManager,
  type Replica,
} from '@longhorn/shared-types';
import { limits } from '../../limits.ts';
import { REPLICA_PORTS, binaryPath, replicaProcessArguments } from '../../instance-client/process-arguments.ts';
import { DiskMissingError } from '../../io/replica-data.ts';
import { OWN_ANNOTATION } from '../../own-annotations.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { instanceManagerOf, nodeOf, responsible, settingsOf, type ControllerContext } from '../context.ts';
import { clearFailures } from '../replica-failure.ts';
import { planInstance } from '../instance/instance-plan.ts';
import { nodeIsDeleted, nodeIsDownOrDeleted } from '../ownership.ts';
import { holdsNewestData } from '../volume/membership.ts';

const COMPONENT = 'longhorn-replica-controller';
const STOP_POLL_MS = 300;
const RELEASE_POLL_MS = 2_000;
const SLOT_POLL_MS = 3_000;

export class ReplicaController {
  readonly #context: ControllerContext;

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me } = this.#context;
    const replica = datastore.stores.Replica.get(name);
    if (replica === null || !responsible(this.#context, replica.spec.nodeID, replica.status.ownerID)) return done;
    if (replica.status.ownerID !== me) {
      const mine = structuredClone(replica);
      mine.status.ownerID = me;
      await datastore.saveStatus('Replica', replica, mine);
      return { kind: 'waiting', untilMs: this.#context.clock.now() };
    }
    const outcome = await this.#run(replica);
    const present = datastore.stores.Replica.get(name);
    if (present === null || present.metadata.deletionTimestamp === null) return outcome;
    return this.#delete(present);
  }

  #nodeIsDown(replica: Replica, manager: InstanceManager | null): boolean {
    return nodeIsDownOrDeleted(nodeOf(this.#context, manager?.spec.nodeID ?? replica.spec.nodeID));
  }

  async #run(replica: Replica): Promise<Outcome> {
    const { datastore, clock, managers, events } = this.#context;
    const { name } = replica.metadata;
    const manager = instanceManagerOf(this.#context, replica);
    const wanted = structuredClone(replica);
    const action = planInstance({
      name,
      desireState: (await this.#isReleased(replica)) ? 'stopped' : replica.spec.desireState,
      nodeId: replica.spec.nodeID,
      image: replica.spec.image,
      status: wanted.status,
      instanceManager: manager,
      nodeIsDown: this.#nodeIsDown(replica, manager),
      restarts: false,
      nowMs: clock.now(),
    });
    if (action.kind === 'create') {
      if (!this.#hasRebuildSlot(replica)) return { kind: 'waiting', untilMs: clock.now() + SLOT_POLL_MS };
      wanted.status.starting = true;
    }
    clearFailures(wanted, clock.now());
    const uuid = manager?.status.instanceReplicas[name]?.status.uuid ?? '';
    const stored = await datastore.saveStatus('Replica', replica, wanted);
    if (manager === null || manager.status.ip === '') return done;
    if (action.kind === 'delete') {
      await managers.delete(manager.status.ip, name, 'replica', { uuid, keepDevice: false });
      events.record(COMPONENT, stored, { type: 'Normal', reason: 'Stop', message: `Stops ${name}` });
      const cleared = structuredClone(stored);
      cleared.status.starting = false;
      await datastore.saveStatus('Replica', stored, cleared);
    }
    if (action.kind === 'create') return this.#start(stored, manager.status.ip);
    return done;
  }

  async #start(replica: Replica, ip: string): Promise<Outcome> {
    const { managers, environment, events, clock } = this.#context;
    const { name } = replica.metadata;
    if (replica.spec.diskPath === '' || replica.spec.dataDirectoryName === '')
      return { kind: 'stalled', reason: `replica ${name} has no place on a disk` };
    if ((await managers.get(ip, name, 'replica')) === null) {
      try {
        await managers.create(ip, {
          name,
          type: 'replica',
          volumeName: replica.spec.volumeName,
          binary: binaryPath(environment, replica.spec.image),
          args: replicaProcessArguments(replica, environment),
          ports: REPLICA_PORTS,
        });
        events.record(COMPONENT, replica, { type: 'Normal', reason: 'Start', message: `Starts ${name}` });
      } catch (error) {
        const text = error instanceof Error ? error.message : String(error);
        events.record(COMPONENT, replica, {
          type: 'Warning',
          reason: 'FailedStarting',
          message: `Error starting ${name}: ${text}`,
        });
        throw error;
      }
    }
    return { kind: 'waiting', untilMs: clock.now() + limits.progressPollMs };
  }

  /** At most so many rebuilds on a node at once; a replica that is not being rebuilt needs no slot. */
  #hasRebuildSlot(replica: Replica): boolean {
    const isRebuild = ({ spec }: Replica): boolean =>
      spec.rebuildRetryCount !== 0 && spec.healthyAt === '' && spec.failedAt === '';
    if (!isRebuild(replica)) return true;
    const limit = settingsOf(this.#context).get('concurrent-replica-rebuild-per-node-limit');
    const others = this.#context.datastore.stores.Replica.byIndex('node', replica.spec.nodeID).filter(
      (other) =>
        other.metadata.name !== replica.metadata.name &&
        isRebuild(other) &&
        (['starting', 'running'].includes(other.status.currentState) || other.status.starting),
    );
    return limit < 1 || others.length < limit;
  }

  /** It is being deleted, and neither an engine nor the newest record needs it. */
  async #isReleased(replica: Replica): Promise<boolean> {
    if (replica.metadata.deletionTimestamp === null) return false;
    const { datastore } = this.#context;
    const { volumeName } = replica.spec;
    // A cache that lags is no proof that the volume is gone.
    const volume = datastore.stores.Volume.get(volumeName) ?? (await datastore.read('Volume', volumeName));
    if (volume === null || volume.metadata.deletionTimestamp !== null) return true;
    const engine = datastore.stores.Engine.get(replica.spec.engineName);
    return !holdsNewestData(engine, replica);
  }

  async #delete(replica: Replica): Promise<Outcome> {
    const { clock, datastore, me, log } = this.#context;
    if (!(await this.#isReleased(replica))) return { kind: 'waiting', untilMs: clock.now() + RELEASE_POLL_MS };
    if (replica.spec.nodeID === '' || replica.spec.dataDirectoryName === '') {
      await datastore.removeFinalizer('Replica', replica);
      return done;
    }
    if (replica.spec.nodeID !== me) {
      await this.#leaveToItsNode(replica);
      return done;
    }
    const manager = instanceManagerOf(this.#context, replica);
    if (manager !== null && manager.status.currentState === 'running') {
      const running = await this.#context.managers.get(manager.status.ip, replica.metadata.name, 'replica');
      if (running !== null) return { kind: 'waiting', untilMs: clock.now() + STOP_POLL_MS };
    } else if (manager !== null && manager.status.currentState === 'starting') {
      return { kind: 'waiting', untilMs: clock.now() + STOP_POLL_MS };
    }
    if (this.#hasTwin(replica)) {
      await datastore.removeFinalizer('Replica', replica);
      return done;
    }
    try {
      await this.#context.io.removeReplicaData(
        { diskPath: replica.spec.diskPath, diskUuid: replica.spec.diskID, folder: replica.spec.dataDirectoryName },
        this.#context.environment.hostRoot,
      );
    } catch (error) {
      if (!(error instanceof DiskMissingError)) throw error;
      log.warn(
        { replica: replica.metadata.name, err: error },
        'disk of a deleted replica is not there; its data stays as an orphan',
      );
      await this.#leaveToItsNode(replica);
      return done;
    }
    await datastore.removeFinalizer('Replica', replica);
    return done;
  }

  /** Another object of the same folder, as during a live upgrade. */
  #hasTwin(replica: Replica): boolean {
    return this.#context.datastore.stores.Replica.byIndex('disk', replica.spec.diskID).some(
      (other) =>
        other.metadata.name !== replica.metadata.name &&
        other.spec.nodeID === replica.spec.nodeID &&
        other.spec.diskPath === replica.spec.diskPath &&
        other.spec.dataDirectoryName === replica.spec.dataDirectoryName,
    );
  }

  /** The node is away: the object goes, its data is noted. A node that was removed takes its data along. */
  async #leaveToItsNode(replica: Replica): Promise<void> {
    const { datastore, namespace } = this.#context;
    const { nodeID, diskID, diskPath, dataDirectoryName } = replica.spec;
    const node = nodeOf(this.#context, nodeID);
    if (node !== null && !nodeIsDeleted(node)) {
      const disk = Object.entries(node.status.diskStatus).find(([, status]) => status.diskUUID === diskID);
      const diskName = disk?.[0] ?? '';
      const orphan = newObject(
        'Orphan',
        namespace,
        orphanDataName(nodeID, diskName, diskPath, diskID, dataDirectoryName),
      );
      orphan.metadata.finalizers = [FINALIZER];
      orphan.metadata.annotations = { [OWN_ANNOTATION.deletedReplica]: replica.metadata.name };
      orphan.metadata.labels = {
        [LABEL.component]: 'orphan',
        [LABEL.ownerNode]: nodeID,
        [LABEL.orphanType]: 'replica',
      };
      orphan.spec.nodeID = nodeID;
      orphan.spec.orphanType = 'replica';
      orphan.spec.parameters = {
        DataName: dataDirectoryName,
        DiskName: diskName,
        DiskUUID: diskID,
        DiskPath: diskPath,
        DiskType: 'filesystem',
      };
      await datastore.create('Orphan', orphan);
    }
    await datastore.removeFinalizer('Replica', replica);
  }
}
