/**
 * Where a volume is to be attached, decided from the tickets of all who want it somewhere. Pure: returns changed copies
 * of the volume and the attachment.
 */
import { attachmentTicketId, type Volume, type VolumeAttachment } from '@longhorn/shared-types';
import { cloneResumesAtMs, cloneStage, isAttachedForClone, isIncomplete } from '../../clone-stage.ts';
import type { EventRecord } from '../../datastore/event-recorder.ts';
import { setCondition } from '../conditions.ts';
import { canRunEngine, chooseEngineNode, isAttached, ticketNode, type EngineNodes } from '../engine-node.ts';

type Ticket = VolumeAttachment['spec']['attachmentTickets'][string];
type TicketStatus = VolumeAttachment['status']['attachmentTicketStatuses'][string];

const PRIORITIES: Record<string, number> = {
  'volume-restore-controller': 2000,
  'volume-expansion-controller': 2000,
  'longhorn-api': 1000,
  'csi-attacher': 900,
  'share-manager-controller': 900,
  'salvage-controller': 900,
  'snapshot-controller': 800,
  'backup-controller': 800,
  'volume-clone-controller': 800,
  'volume-eviction-controller': 800,
  'bim-ds-controller': 800,
  'volume-rebuilding-controller': 800,
};
const EXPANSION = 'volume-expansion-controller';
const CLONE = 'volume-clone-controller';
const EVICTION = 'volume-eviction-controller';
/** A workload elsewhere comes first: what these do is done there or later. A copy goes on from what is there. */
const INTERRUPTIBLE = ['snapshot-controller', 'backup-controller', CLONE, EVICTION];
const WORKLOAD = ['csi-attacher', 'longhorn-api', 'share-manager-controller'];

export interface AttachmentWorld {
  nowMs: number;
  volume: Volume;
  attachment: VolumeAttachment;
  /** Volumes that are copies of this one and not complete. */
  copies: readonly Volume[];
  /** Whether replicas are to leave their disks, and if so, whether there is a place for one more. */
  eviction: 'none' | 'possible' | 'no place';
  engineNodes: EngineNodes;
  /** IDs of tickets whose owner is gone: it was late with them, or ended before it took them back. */
  leftTickets: ReadonlySet<string>;
  /** Its engine was told to grow; while the disks have no room for it, it is not. */
  isToGrow: boolean;
  /** Where the only replica of a strict-local volume is; '' = anywhere. */
  boundTo: string;
  /** Kubernetes nodes that are cordoned. */
  cordonedNodes: ReadonlySet<string>;
  detachesCordoned: boolean;
}

export interface AttachmentPlan {
  volume: Volume;
  attachment: VolumeAttachment;
  events: EventRecord[];
  /** A copy is tried again then. */
  requeueAtMs: number | null;
}

export function planAttachment(world: AttachmentWorld): AttachmentPlan {
  const plan: AttachmentPlan = {
    volume: structuredClone(world.volume),
    attachment: structuredClone(world.attachment),
    events: [],
    requeueAtMs: null,
  };
  for (const id of world.leftTickets) delete plan.attachment.spec.attachmentTickets[id];
  leaveCordonedNodes(world, plan);
  keepExpansionTicket(world, plan);
  keepCloneTickets(world, plan);
  keepEvictionTicket(world, plan);
  const tickets = ticketsOf(plan, world.nowMs).filter((ticket) => !isOutOfReach(ticket, world));
  if (mustDetach(plan, tickets))
    Object.assign(plan.volume.spec, { nodeID: '', disableFrontend: false, lastAttachedBy: '' });
  else attach(plan, tickets);
  reportTickets(world, plan);
  return plan;
}

/** Those that count. Nobody but the copying itself may have a copy before it is complete. */
function ticketsOf({ attachment, volume }: AttachmentPlan, nowMs: number): Ticket[] {
  if (isIncomplete(cloneStage(volume, nowMs))) {
    const own = attachment.spec.attachmentTickets[attachmentTicketId(CLONE, volume.metadata.name)];
    return own === undefined ? [] : [own];
  }
  const regularRwx = volume.spec.accessMode === 'rwx' && !volume.spec.migratable;
  return Object.values(attachment.spec.attachmentTickets).filter(
    (ticket) => !(regularRwx && ticket.type === 'csi-attacher'),
  );
}

/** A strict-local volume is only where its replica is; one that is elsewhere already stays there. */
function isOutOfReach({ nodeID }: Ticket, { boundTo, volume }: AttachmentWorld): boolean {
  return boundTo !== '' && nodeID !== boundTo && nodeID !== volume.spec.nodeID;
}

function leaveCordonedNodes(world: AttachmentWorld, { attachment, volume, events }: AttachmentPlan): void {
  for (const [id, ticket] of Object.entries(attachment.spec.attachmentTickets)) {
    if (ticket.type !== 'longhorn-api' || !world.cordonedNodes.has(ticket.nodeID)) continue;
    if (world.detachesCordoned) delete attachment.spec.attachmentTickets[id];
    else if (volume.status.currentNodeID === ticket.nodeID)
      events.push({
        type: 'Warning',
        reason: 'DetachedUnexpectedly',
        message:
          'Failed to detach manually attached volume due to detach-manually-attached-volumes-when-cordoned is set to false',
      });
  }
}

/** A volume that is to grow is attached until it has; one that cannot now waits for room as it is. */
function keepExpansionTicket(world: AttachmentWorld, { attachment, volume }: AttachmentPlan): void {
  const id = attachmentTicketId(EXPANSION, volume.metadata.name);
  const { [id]: present, ...others } = attachment.spec.attachmentTickets;
  if (!volume.status.expansionRequired || !world.isToGrow) {
    if (present !== undefined) attachment.spec.attachmentTickets = others;
    return;
  }
  const nodeID = growthNode(world, volume, present?.nodeID ?? '', Object.values(others));
  putTicket(attachment, { id, type: EXPANSION, nodeID, disableFrontend: 'false' });
}

/** Makes a ticket of a controller, or moves it; one that is at the node already stays as it is. */
function putTicket(
  { spec }: VolumeAttachment,
  { id, type, nodeID, disableFrontend }: { id: string; type: string; nodeID: string; disableFrontend: string },
): void {
  const present = spec.attachmentTickets[id];
  if (nodeID === '' || present?.nodeID === nodeID) return;
  spec.attachmentTickets[id] = {
    id,
    type,
    nodeID,
    parameters: { disableFrontend },
    generation: present?.generation ?? 0,
  };
}

/** Where it is used, or is about to be; else where it began, or where an engine can run. */
function growthNode({ engineNodes }: AttachmentWorld, volume: Volume, present: string, others: Ticket[]): string {
  const workloads = others
    .filter(({ type }) => WORKLOAD.includes(type))
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map(({ nodeID }) => nodeID);
  const { nodeID } = volume.spec;
  const isUsed = nodeID !== '' && workloads.includes(nodeID);
  if (isUsed || (isAttached(volume) && canRunEngine(engineNodes, nodeID))) return nodeID;
  const about = workloads.find((node) => canRunEngine(engineNodes, node));
  if (about !== undefined) return about;
  if (present !== '' && (canRunEngine(engineNodes, present) || engineNodes.able.length === 0)) return present;
  return chooseEngineNode(volume.status, engineNodes);
}

/** A copy is attached without a frontend until it is complete, its source in any way while it is read. */
function keepCloneTickets({ copies, nowMs, engineNodes }: AttachmentWorld, plan: AttachmentPlan): void {
  const { attachment, volume } = plan;
  const wanted = new Map<string, string>();
  if (isAttachedForClone(cloneStage(volume, nowMs))) wanted.set(volume.metadata.name, 'true');
  for (const copy of copies) if (cloneStage(copy, nowMs) === 'copying') wanted.set(copy.metadata.name, 'any');
  const times = [volume, ...copies].map((one) => cloneResumesAtMs(one, nowMs)).filter((at) => at !== null);
  plan.requeueAtMs = times.length === 0 ? null : Math.min(...times);
  const { attachmentTickets } = attachment.spec;
  const kept = Object.entries(attachmentTickets).filter(([, { type }]) => type !== CLONE);
  const tickets = [...wanted].map(([target, disableFrontend]): [string, Ticket] => {
    const id = attachmentTicketId(CLONE, target);
    const present = attachmentTickets[id];
    const nodeID = ticketNode(volume, present?.nodeID ?? '', engineNodes);
    const parameters = present?.parameters ?? { disableFrontend };
    return [id, { id, type: CLONE, nodeID, parameters, generation: present?.generation ?? 0 }];
  });
  attachment.spec.attachmentTickets = Object.fromEntries([...kept, ...tickets]);
}

/** A volume that nobody uses is attached while its replicas move; for nothing it is not. */
function keepEvictionTicket({ eviction, engineNodes }: AttachmentWorld, { attachment, volume }: AttachmentPlan): void {
  const id = attachmentTicketId(EVICTION, volume.metadata.name);
  const { [id]: present, ...others } = attachment.spec.attachmentTickets;
  if (eviction === 'none') {
    if (present !== undefined) attachment.spec.attachmentTickets = others;
    return;
  }
  // The place that a replica moves to is no place for another: what has begun is not given up.
  if (present === undefined && eviction === 'no place') return;
  const nodeID = ticketNode(volume, present?.nodeID ?? '', engineNodes);
  putTicket(attachment, { id, type: EVICTION, nodeID, disableFrontend: 'any' });
}

/** Whether the volume is attached in the way that the ticket asks for. */
export function parametersFit(parameters: Readonly<Record<string, string>>, volume: Volume): boolean {
  const wish = parameters['disableFrontend'] ?? 'false';
  if (wish === 'true') return volume.spec.disableFrontend;
  return wish === 'false' || wish === '' ? !volume.spec.disableFrontend : true;
}

function mustDetach({ volume }: AttachmentPlan, tickets: readonly Ticket[]): boolean {
  if (volume.spec.nodeID === '') return false;
  if (volume.status.robustness === 'faulted') return true;
  if (volume.spec.migrationNodeID !== '' || volume.status.currentMigrationNodeID !== '') return false;
  const here = tickets.filter(
    (ticket) => ticket.nodeID === volume.spec.nodeID && parametersFit(ticket.parameters, volume),
  );
  if (here.length === 0) return true;
  if (!here.every((ticket) => INTERRUPTIBLE.includes(ticket.type))) return false;
  return tickets.some((ticket) => WORKLOAD.includes(ticket.type) && ticket.nodeID !== volume.spec.nodeID);
}

function attach({ volume }: AttachmentPlan, tickets: readonly Ticket[]): void {
  const { spec, status } = volume;
  const detached =
    spec.nodeID === '' &&
    spec.migrationNodeID === '' &&
    status.currentMigrationNodeID === '' &&
    status.state === 'detached';
  if (!detached || status.robustness === 'faulted') return;
  const priority = (ticket: Ticket): number => PRIORITIES[ticket.type] ?? 0;
  const highest = Math.max(...tickets.map(priority));
  const best = tickets.filter((ticket) => priority(ticket) === highest).toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const [first] = best;
  if (first === undefined || first.nodeID === '') return;
  if (spec.migratable && highest === 900 && best.length > 1) return;
  spec.nodeID = first.nodeID;
  const wish = first.parameters['disableFrontend'] ?? 'false';
  if (wish === 'true') spec.disableFrontend = true;
  else if (wish === 'false' || wish === '') spec.disableFrontend = false;
  spec.lastAttachedBy = first.parameters['lastAttachedBy'] ?? '';
}

function reportTickets(world: AttachmentWorld, { attachment, volume }: AttachmentPlan): void {
  const statuses: Record<string, TicketStatus> = {};
  for (const [id, ticket] of Object.entries(attachment.spec.attachmentTickets)) {
    const before = attachment.status.attachmentTicketStatuses[id];
    const status: TicketStatus = {
      id,
      conditions: before?.conditions ?? [],
      generation: ticket.generation,
      satisfied: false,
    };
    report(ticket, volume, status, world);
    statuses[id] = status;
  }
  attachment.status.attachmentTicketStatuses = statuses;
}

function report(ticket: Ticket, volume: Volume, status: TicketStatus, world: AttachmentWorld): void {
  const set = (satisfied: boolean, message: string, reason = ''): void => {
    status.satisfied = satisfied;
    setCondition(
      status.conditions,
      { type: 'Satisfied', status: satisfied ? 'True' : 'False', reason, message },
      world.nowMs,
    );
  };
  const { name } = volume.metadata;
  const { currentNodeID, state, shareState, shareEndpoint } = volume.status;
  if (volume.spec.accessMode === 'rwx' && !volume.spec.migratable && ticket.type === 'csi-attacher') {
    if (shareState === 'running' && shareEndpoint !== '') set(true, 'The attachment ticket is satisfied');
    else set(false, 'Waiting for volume share to be available');
  } else if (isOutOfReach(ticket, world))
    set(false, `strict-local volume ${name} can only be attached to node ${world.boundTo}, where its replica is`);
  else if (currentNodeID === '' || state !== 'attached') set(false, '');
  else if (ticket.nodeID !== currentNodeID)
    set(false, `the volume is currently attached to different node ${currentNodeID} `);
  else if (parametersFit(ticket.parameters, volume)) set(true, '');
  else
    set(
      false,
      `volume ${name} has already attached to node ${currentNodeID} with incompatible parameters`,
      'AttachedWithIncompatibleParameters',
    );
}
