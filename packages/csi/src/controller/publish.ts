/**
 * ControllerPublish and -Unpublish: a ticket per volume and node, under the name that Kubernetes gives the attachment.
 *
 * A ticket that cannot be satisfied now (another node has the volume) stays: the volume comes as soon as its holder
 * lets go, and the next call finds it there. Unpublish takes the ticket away in every case.
 */
import { createHash } from 'node:crypto';
import type {
  ControllerPublishVolumeRequest,
  ControllerUnpublishVolumeRequest,
} from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { waitUntil, type CallScope, type Look } from '../call/scope.ts';
import {
  COPY_PATIENCE_MS,
  GROWTH_PATIENCE_MS,
  HELD_ELSEWHERE_PATIENCE_MS,
  LEAVING_PATIENCE_MS,
  STATE_TIMEOUT_MS,
} from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { ManagerFault } from '../api/manager-fault.ts';
import { isBeingMade } from '../api/copy-state.ts';
import { blockers, bytesOf, publishedNodes, type VolumeResource } from '../api/volume-state.ts';
import { checkCapability, invalid, isVolumeId, required, requiredVolumeId } from '../call/request-checks.ts';

const ATTACHER_TYPE = 'csi-attacher';
const FRONTENDS = ['blockdev', 'ublk'];

/** Name of the Kubernetes VolumeAttachment, and of the ticket. */
export function attachmentId(volume: string, driver: string, node: string): string {
  return `csi-${createHash('sha256').update(`${volume}${driver}${node}`).digest('hex')}`;
}

/** Who use a volume until they let go by themselves; all others (snapshots, expansion) have it for a moment. */
const HOLDERS: Readonly<Record<string, string>> = {
  [ATTACHER_TYPE]: 'a workload (csi-attacher)',
  'longhorn-api': 'an attachment by hand (UI or API)',
  'share-manager-controller': 'its share manager',
};

/** Who has the volume on another node than `node` (null: on any), in words; null when nobody has. */
export function holderOf(volume: VolumeResource, node: string | null): string | null {
  for (const ticket of Object.values(volume.volumeAttachment.attachments)) {
    const who = HOLDERS[ticket.attachmentType];
    if (who === undefined || !ticket.satisfied || ticket.nodeID === node) continue;
    return `${who} on node ${ticket.nodeID}, ticket ${JSON.stringify(ticket.attachmentID)}`;
  }
  return null;
}

/**
 * Whether the engine on this node has the size that the volume is to have, or does not get it now: its disks may lack
 * the room for as long as nobody makes any, which is no reason to keep its data from pods.
 */
function hasItsSize(volume: VolumeResource, engine: VolumeResource['controllers'][number], elapsedMs: number): boolean {
  if (engine.isExpanding) return false;
  const isLarge = bytesOf(engine.size) >= bytesOf(volume.size);
  return isLarge || engine.lastExpansionError !== '' || elapsedMs >= GROWTH_PATIENCE_MS;
}

/** Why the volume can never be used on the node; null when it can. */
export function refusalFor(volume: VolumeResource, node: string): string | null {
  if (volume.dataLocality !== 'strict-local') return null;
  const home = volume.replicas.map(({ hostId }) => hostId).find((hostId) => hostId !== '');
  if (home === undefined || home === node || publishedNodes(volume).includes(node)) return null;
  return `volume ${volume.id} is strict-local and its replica is on node ${home}: it can only be used there, not on node ${node}`;
}

/** Whether the volume can be used on the node by this ticket. `elapsedMs`: since it was looked at first. */
export function attachmentState(volume: VolumeResource, node: string, ticketId: string, elapsedMs: number): Look<null> {
  const ticket = volume.volumeAttachment.attachments[ticketId];
  const why = blockers(volume);
  const waiting = (text: string): Look<null> => ({ done: false, waitingFor: why === '' ? text : `${text}; ${why}` });
  if (ticket === undefined) return waiting('its ticket is gone');
  const refused = ticket.conditions.find(({ type, status }) => type === 'Satisfied' && status === 'False');
  if (!ticket.satisfied) return waiting(refused?.message.trim() || `it is ${volume.state}`);
  if (volume.state !== 'attached') return waiting(`it is ${volume.state}`);
  const engine = volume.controllers.find(({ hostId, endpoint }) => hostId === node && endpoint !== '');
  if (engine === undefined) return waiting('its device is not there yet');
  return hasItsSize(volume, engine, elapsedMs) ? { done: true, value: null } : waiting('it is being expanded');
}

export class Publishing {
  readonly #manager: ManagerClient;
  readonly #driver: string;

  constructor(manager: ManagerClient, driver: string) {
    this.#manager = manager;
    this.#driver = driver;
  }

  async publish(request: ControllerPublishVolumeRequest, scope: CallScope): Promise<Record<never, never>> {
    const id = required(request.volume_id, 'volume id');
    const node = required(request.node_id, 'node id');
    checkCapability(required(request.volume_capability, 'volume capability'));
    const volume = isVolumeId(id) ? await this.#find(id, scope) : null;
    if (volume === null) throw rpcError(Code.NotFound, `volume ${id} not found`);
    if ((await this.#manager.find('node', 'nodes', node, scope.signal)) === null) {
      throw rpcError(Code.NotFound, `node ${node} not found`);
    }
    if (!FRONTENDS.includes(volume.frontend)) {
      throw invalid(`volume ${id} invalid frontend type ${volume.frontend}: it must be blockdev`);
    }
    if (volume.state === 'deleting') throw rpcError(Code.FailedPrecondition, `volume ${id} is being deleted`);
    const ticket = attachmentId(id, this.#driver, node);
    // Asked again, or answered too late the last time.
    if (attachmentState(volume, node, ticket, 0).done) return {};
    const refusal = refusalFor(volume, node);
    if (refusal !== null) throw rpcError(Code.FailedPrecondition, refusal);
    if (!volume.ready) await this.#whenReady(id, scope);
    const input = { hostId: node, disableFrontend: false, attacherType: ATTACHER_TYPE, attachmentID: ticket };
    await this.#manager.act(volume, 'attach', input, { repeatable: true, signal: scope.signal });
    await this.#whenAttached(id, node, ticket, scope);
    return {};
  }

  async unpublish(request: ControllerUnpublishVolumeRequest, scope: CallScope): Promise<Record<never, never>> {
    const { volume_id: id, node_id: node } = request;
    if (id === '') throw invalid('volume id missing in request');
    const volume = isVolumeId(id) ? await this.#find(id, scope) : null;
    if (volume === null) return {};
    const { attachments } = volume.volumeAttachment;
    const tickets =
      node === ''
        ? Object.values(attachments).flatMap((one) => (one.attachmentType === ATTACHER_TYPE ? [one.attachmentID] : []))
        : [attachmentId(id, this.#driver, node)];
    for (const ticket of tickets.filter((name) => attachments[name] !== undefined)) {
      await this.#detach(volume, ticket, scope);
    }
    await waitUntil(scope, STATE_TIMEOUT_MS, `Failed to detach volume ${id} from node ${node}`, async () => {
      const present = await this.#find(id, scope);
      if (present === null) return { done: true, value: null };
      const left = tickets.filter((ticket) => present.volumeAttachment.attachments[ticket] !== undefined);
      // The manager lets no other node have it before it is gone here.
      if (left.length === 0) return { done: true, value: null };
      return { done: false, waitingFor: `it is ${present.state}; ${blockers(present)}` };
    });
    return {};
  }

  #find(id: string, scope: CallScope): Promise<VolumeResource | null> {
    return this.#manager.find('volume', 'volumes', requiredVolumeId(id), scope.signal);
  }

  async #detach(volume: VolumeResource, attachmentID: string, scope: CallScope): Promise<void> {
    try {
      await this.#manager.act(volume, 'detach', { attachmentID }, { repeatable: true, signal: scope.signal });
    } catch (error) {
      if (!(error instanceof ManagerFault && error.status === 404)) throw error;
    }
  }

  /**
   * A volume that is leaving another node is not ready for a moment, and a copy that is being made for as long as it takes;
   * any other reason is the caller's to wait for.
   */
  async #whenReady(id: string, scope: CallScope): Promise<void> {
    await waitUntil(scope, STATE_TIMEOUT_MS, `volume ${id} is not ready for workloads`, async (elapsedMs) => {
      const volume = await this.#find(id, scope);
      if (volume === null) throw rpcError(Code.NotFound, `volume ${id} not found`);
      if (volume.ready) return { done: true, value: null };
      const isLeaving = volume.robustness !== 'faulted' && ['attached', 'detaching'].includes(volume.state);
      // A copy leaves the node of its copying when it is complete.
      const patienceMs = volume.dataSource === '' ? LEAVING_PATIENCE_MS : COPY_PATIENCE_MS;
      const isComing = (isLeaving || isBeingMade(volume)) && elapsedMs < patienceMs;
      if (!isComing) {
        throw rpcError(Code.Aborted, `volume ${id} is not ready for workloads: ${notReadyReason(volume)}`);
      }
      return { done: false, waitingFor: notReadyReason(volume) };
    });
  }

  async #whenAttached(id: string, node: string, ticket: string, scope: CallScope): Promise<void> {
    const failure = `volume ${id} failed to attach to node ${node} with attachmentID ${ticket}`;
    await waitUntil(scope, STATE_TIMEOUT_MS, failure, async (elapsedMs) => {
      const volume = await this.#find(id, scope);
      if (volume === null) throw rpcError(Code.NotFound, `volume ${id} not found`);
      const state = attachmentState(volume, node, ticket, elapsedMs);
      // Another one was faster when it got its place.
      const refusal = state.done ? null : refusalFor(volume, node);
      if (refusal !== null) throw rpcError(Code.FailedPrecondition, refusal);
      const holder = holderOf(volume, node);
      if (!state.done && holder !== null && elapsedMs >= HELD_ELSEWHERE_PATIENCE_MS) {
        throw rpcError(
          Code.FailedPrecondition,
          `volume ${id} is held by ${holder}: it comes to node ${node} when that one lets it go`,
        );
      }
      return state;
    });
  }
}

function notReadyReason(volume: VolumeResource): string {
  const why = blockers(volume);
  if (why !== '') return why;
  if (volume.robustness === 'faulted') return 'it is faulted';
  if (volume.restoreRequired) return 'its data is being restored';
  if (volume.dataSource !== '') return `its data is being copied from ${volume.dataSource}`;
  return `it is ${volume.state}`;
}
