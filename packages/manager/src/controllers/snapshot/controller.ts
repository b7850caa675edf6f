/** Snapshots: taken and removed through the volume's engine, by the manager that owns the volume. */
import { parseDataSource, type Snapshot, type Volume } from '@longhorn/shared-types';
import { cloneStage, needsSource } from '../../clone-stage.ts';
import { engineTarget } from '../../instance-client/instance-managers.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { instanceManagerOf, settingsOf, type ControllerContext } from '../context.ts';
import { observeEngineNodes, ticketNode } from '../engine-node.ts';
import type { EngineController } from '../engines/controller.ts';
import { planSnapshot, type SnapshotAction } from './plan.ts';
import { SNAPSHOT_TICKET_TYPE, snapshotTicketId } from './ticket.ts';

const COMPONENT = 'longhorn-snapshot-controller';
const PURGE_RETRY_MS = 10_000;
const CREATE_CHECK_MS = 2_000;
/** The node of a ticket may become unable to run an engine. */
const TICKET_CHECK_MS = 10_000;

/** Whether a copy that is not there yet needs the snapshot. */
function copiesFrom(copy: Volume, snapshot: string, nowMs: number): boolean {
  const { cloneStatus } = copy.status;
  const named = parseDataSource(copy.spec.dataSource)?.snapshot ?? cloneStatus.snapshot;
  return named === snapshot && copy.metadata.deletionTimestamp === null && needsSource(cloneStage(copy, nowMs));
}

export class SnapshotController {
  readonly #context: ControllerContext;
  readonly #engines: EngineController;

  constructor(context: ControllerContext, engines: EngineController) {
    this.#context = context;
    this.#engines = engines;
  }

  async reconcile(name: string): Promise<Outcome> {
    const { datastore, me, clock } = this.#context;
    const snapshot = datastore.stores.Snapshot.get(name);
    if (snapshot === null) return done;
    // A cache that lags is no proof that the volume is gone: its owner may be taking or removing the snapshot.
    const volume =
      datastore.stores.Volume.get(snapshot.spec.volume) ?? (await datastore.read('Volume', snapshot.spec.volume));
    if (volume !== null && volume.status.ownerID !== me) return done;
    const engines = datastore.stores.Engine.byIndex('volume', snapshot.spec.volume);
    const engine = engines.find(({ spec }) => spec.active) ?? null;
    const purgeDisabled = settingsOf(this.#context).get('disable-snapshot-purge');
    const copies = datastore.stores.Volume.byIndex('source', snapshot.spec.volume);
    const isBeingCopied = copies.some((copy) => copiesFrom(copy, name, clock.now()));
    const plan = planSnapshot({ snapshot, volume, engine, purgeDisabled, isBeingCopied });
    if (plan.action.kind === 'release') {
      await this.#dropTicket(snapshot);
      await datastore.removeFinalizer('Snapshot', snapshot);
      return done;
    }
    if (plan.needsTicket && volume !== null) await this.#addTicket(snapshot, volume);
    else await this.#dropTicket(snapshot);
    const stored = await datastore.saveStatus('Snapshot', snapshot, { ...snapshot, status: plan.status });
    this.#announce(snapshot, stored);
    if (plan.action.kind === 'none' || engine === null)
      return plan.needsTicket ? { kind: 'waiting', untilMs: clock.now() + TICKET_CHECK_MS } : done;
    const target = engineTarget(engine, instanceManagerOf(this.#context, engine));
    if (target === null) return done;
    await this.#act(stored, plan.action, target, engine.metadata.name);
    return {
      kind: 'waiting',
      untilMs: clock.now() + (plan.action.kind === 'create' ? CREATE_CHECK_MS : PURGE_RETRY_MS),
    };
  }

  async #act(
    snapshot: Snapshot,
    action: SnapshotAction,
    target: NonNullable<ReturnType<typeof engineTarget>>,
    engine: string,
  ): Promise<void> {
    const { managers } = this.#context;
    const { name } = snapshot.metadata;
    const proxy = managers.proxy(target);
    const request = managers.request(target);
    try {
      if (action.kind === 'create') {
        const { disks } = await proxy.SnapshotList(managers.plainRequest(target));
        if (disks[name] === undefined)
          await proxy.VolumeSnapshot({
            ...request,
            snapshot_volume: { name, labels: snapshot.spec.labels, freezeFilesystem: false },
          });
        this.#engines.refresh(engine);
      }
      if (action.kind === 'remove') {
        if (action.mark) await proxy.SnapshotRemove({ ...request, names: [name] });
        await proxy.SnapshotPurge({ ...request, skip_if_in_progress: true });
        this.#engines.expectPurge(engine);
      }
    } catch (error) {
      await this.#noteError(name, error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  async #noteError(name: string, text: string): Promise<void> {
    await this.#context.datastore.update('Snapshot', name, (present) => {
      if (present.status.error === text) return null;
      present.status.error = text;
      return present;
    });
  }

  async #addTicket(snapshot: Snapshot, volume: Volume): Promise<void> {
    const id = snapshotTicketId(snapshot.metadata.name);
    const nodes = observeEngineNodes(this.#context, volume.metadata.name);
    await this.#context.datastore.update('VolumeAttachment', snapshot.spec.volume, (present) => {
      const ticket = present.spec.attachmentTickets[id];
      const nodeID = ticketNode(volume, ticket?.nodeID ?? '', nodes);
      if (ticket !== undefined && ticket.nodeID === nodeID) return null;
      present.spec.attachmentTickets[id] = {
        generation: ticket?.generation ?? 0,
        parameters: { disableFrontend: 'any', ...ticket?.parameters },
        id,
        nodeID,
        type: SNAPSHOT_TICKET_TYPE,
      };
      return present;
    });
  }

  async #dropTicket(snapshot: Snapshot): Promise<void> {
    const id = snapshotTicketId(snapshot.metadata.name);
    await this.#context.datastore.update('VolumeAttachment', snapshot.spec.volume, (present) => {
      if (present.spec.attachmentTickets[id] === undefined) return null;
      delete present.spec.attachmentTickets[id];
      return present;
    });
  }

  #announce(before: Snapshot, after: Snapshot): void {
    const { events } = this.#context;
    const record = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
      events.record(COMPONENT, after, { type, reason, message });
    if (before.status.creationTime === '' && after.status.creationTime !== '')
      record('Normal', 'Create', 'successfully provisioned the snapshot');
    if (!before.status.markRemoved && after.status.markRemoved)
      record('Normal', 'Delete', 'snapshot is marked as removed');
    if (before.status.readyToUse !== after.status.readyToUse) {
      if (after.status.readyToUse) record('Normal', 'Update', 'snapshot becomes ready to use');
      else record('Warning', 'Update', 'snapshot becomes not ready to use');
    }
    if (after.status.error !== '' && after.status.error !== before.status.error)
      record('Warning', 'Failed', after.status.error);
  }
}
