/** Carries out the plan of an attachment: the volume's spec first, then the attachment itself. */
import type { Volume } from '@longhorn/shared-types';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { recordAll, settingsOf, type ControllerContext } from '../context.ts';
import { observeEngineNodes, strictLocalNode } from '../engine-node.ts';
import { snapshotOfTicket } from '../snapshot/ticket.ts';
import { isToGrow } from '../volume/expansion.ts';
import { observeVolume } from '../volume/observe.ts';
import { searchPlaces } from '../volume/placement.ts';
import { isDeleting, newDraft } from '../volume/world.ts';
import { planAttachment, type AttachmentWorld } from './plan.ts';

const COMPONENT = 'longhorn-volume-attachment-controller';

export async function reconcileAttachment(context: ControllerContext, name: string): Promise<Outcome> {
  const { datastore, me, clock } = context;
  const left = await leftTickets(context, name);
  // Taken after that wait, so that the plan is of what is there now.
  const attachment = datastore.stores.VolumeAttachment.get(name);
  if (attachment === null) return done;
  const volume = datastore.stores.Volume.get(attachment.spec.volume);
  if (volume === null || volume.metadata.deletionTimestamp !== null) {
    if (attachment.metadata.deletionTimestamp !== null) await datastore.removeFinalizer('VolumeAttachment', attachment);
    return done;
  }
  if (volume.status.ownerID !== me) return done;
  const cordoned = datastore.kubeNodes.list().filter(({ unschedulable }) => unschedulable);
  const plan = planAttachment({
    nowMs: clock.now(),
    volume,
    attachment,
    copies: datastore.stores.Volume.byIndex('source', volume.metadata.name).filter(
      ({ metadata }) => metadata.deletionTimestamp === null,
    ),
    eviction: evictionOf(context, volume),
    engineNodes: observeEngineNodes(context, volume.metadata.name),
    leftTickets: left,
    isToGrow: datastore.stores.Engine.byIndex('volume', volume.metadata.name).some(
      (engine) => engine.spec.active && isToGrow(engine),
    ),
    boundTo: strictLocalNode(context, volume.metadata.name),
    cordonedNodes: new Set(cordoned.map(({ metadata }) => metadata.name)),
    detachesCordoned: settingsOf(context).get('detach-manually-attached-volumes-when-cordoned'),
  });
  await datastore.saveMain('Volume', volume, plan.volume);
  const stored = await datastore.save('VolumeAttachment', attachment, plan.attachment);
  recordAll(context, COMPONENT, stored, plan.events);
  return plan.requeueAtMs === null ? done : { kind: 'waiting', untilMs: plan.requeueAtMs };
}

/**
 * Those of snapshots that are not there, or are by now another volume's. Not from a cache, which may not know a new one. None for a
 * volume of another manager.
 */
async function leftTickets({ datastore, me }: ControllerContext, name: string): Promise<ReadonlySet<string>> {
  const left = new Set<string>();
  const spec = datastore.stores.VolumeAttachment.get(name)?.spec;
  if (spec === undefined || datastore.stores.Volume.get(spec.volume)?.status.ownerID !== me) return left;
  for (const [id, ticket] of Object.entries(spec.attachmentTickets)) {
    const snapshotName = snapshotOfTicket(ticket);
    if (snapshotName === null || datastore.stores.Snapshot.get(snapshotName)?.spec.volume === spec.volume) continue;
    const snapshot = await datastore.read('Snapshot', snapshotName);
    if (snapshot?.spec.volume !== spec.volume) left.add(id);
  }
  return left;
}

function evictionOf(context: ControllerContext, volume: Volume): AttachmentWorld['eviction'] {
  const replicas = context.datastore.stores.Replica.byIndex('volume', volume.metadata.name);
  if (!replicas.some((replica) => replica.spec.evictionRequested && !isDeleting(replica))) return 'none';
  const world = observeVolume(context, volume, new Map());
  const { candidates } = searchPlaces(world, newDraft(world), { hardNodeAffinity: '' });
  return candidates.length > 0 ? 'possible' : 'no place';
}
