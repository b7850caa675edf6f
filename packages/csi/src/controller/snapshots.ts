/** Snapshots in the cluster (`type: snap`), by the manager's snapshot objects. */
import type {
  CreateSnapshotRequest,
  CreateSnapshotResponse,
  DeleteSnapshotRequest,
  ListSnapshotsRequest,
  ListSnapshotsResponse,
  Snapshot,
} from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import { waitUntil, type CallScope } from '../call/scope.ts';
import { SNAPSHOT_LISTS_AT_ONCE, SNAPSHOT_REMOVAL_NOTED_MS, STATE_TIMEOUT_MS } from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { ManagerFault, rpcErrorOf } from '../api/manager-fault.ts';
import { decodeCollection, decodeResource, type Resource } from '../api/rest-decoder.ts';
import type { VolumeResource } from '../api/volume-state.ts';
import { page } from './paging.ts';
import { checkedName, invalid, isVolumeId } from '../call/request-checks.ts';
import { decodeHandle, snapHandle, snapshotObjectName } from './snapshot-handle.ts';

type SnapshotResource = Resource<'snapshotCR'>;

/** The answer for a snapshot object. */
export function snapshotMessage(snapshot: SnapshotResource): ProtoInput<Snapshot> & object {
  const seconds = Math.floor(Date.parse(snapshot.creationTime || snapshot.crCreationTime) / 1000);
  return {
    snapshot_id: snapHandle(snapshot.volume, snapshot.name),
    source_volume_id: snapshot.volume,
    size_bytes: BigInt(snapshot.restoreSize),
    creation_time: { seconds: Number.isNaN(seconds) ? 0 : seconds, nanos: 0 },
    ready_to_use: snapshot.readyToUse,
  };
}

/** Refuses kinds of snapshots that cannot be taken. */
function checkType(type: string): void {
  if (type === 'snap') return;
  if (type === '' || ['bak', 'bs', 'bi'].includes(type)) {
    const shown = type === '' ? 'the default type bak' : `type ${type}`;
    throw rpcError(
      Code.FailedPrecondition,
      `snapshots of ${shown} are not supported yet: set the parameter type of the VolumeSnapshotClass to "snap"`,
    );
  }
  throw invalid(`invalid CSI snapshot type: ${type.slice(0, 60)}. Must be snap or bak or ""`);
}

/** Listed: taken on purpose, and not on its way out. */
function isListed(snapshot: SnapshotResource): boolean {
  return snapshot.readyToUse && !snapshot.markRemoved;
}

export class Snapshots {
  readonly #manager: ManagerClient;

  constructor(manager: ManagerClient) {
    this.#manager = manager;
  }

  async create(request: CreateSnapshotRequest, scope: CallScope): Promise<ProtoInput<CreateSnapshotResponse>> {
    const { source_volume_id: id, parameters } = request;
    if (id === '') throw invalid('Volume name must be provided');
    if (request.name === '') throw invalid('Snapshot name must be provided');
    const name = snapshotObjectName(checkedName(request.name, 'name'));
    checkType(parameters['type'] ?? '');
    const volume = await this.#volume(id, scope);
    if (volume === null) throw rpcError(Code.NotFound, `volume ${id} not found`);
    if ((await this.#get(volume, name, scope)) === null) await this.#take(volume, name, parameters, scope);
    const failure = `waitForSnapshotToBeReady: timeout while waiting for snapshot ${name} to be ready`;
    const ready = await waitUntil(scope, STATE_TIMEOUT_MS, failure, async () => {
      const snapshot = await this.#get(volume, name, scope);
      if (snapshot === null) return { done: false, waitingFor: 'it is not there' };
      if (snapshot.markRemoved) {
        throw rpcError(Code.FailedPrecondition, `snapshot ${name} of volume ${id} is being deleted: use another name`);
      }
      return snapshot.readyToUse ? { done: true, value: snapshot } : { done: false, waitingFor: snapshot.error ?? '' };
    });
    return { snapshot: snapshotMessage(ready) };
  }

  /** Ends when the manager has noted that the snapshot is to go; merging its data away is its own work. */
  async delete(request: DeleteSnapshotRequest, scope: CallScope): Promise<Record<never, never>> {
    const handleText = request.snapshot_id;
    if (handleText === '') throw invalid('missing snapshot id in request');
    const handle = decodeHandle(handleText);
    if (handle.kind === 'unknown') return {};
    if (handle.kind !== 'snap') {
      throw rpcError(Code.FailedPrecondition, `snapshots of type ${handle.kind} are not supported yet: ${handleText}`);
    }
    const volume = await this.#volume(handle.volume, scope);
    if (volume === null) return {};
    const input = { name: handle.snapshot };
    try {
      await this.#manager.act(volume, 'snapshotCRDelete', input, { repeatable: true, signal: scope.signal });
    } catch (error) {
      if (!(error instanceof ManagerFault && error.status === 404)) throw error;
    }
    await this.#whenNoted(volume, handle.snapshot, scope);
    return {};
  }

  async list(request: ListSnapshotsRequest, scope: CallScope): Promise<ProtoInput<ListSnapshotsResponse>> {
    const found = await this.#matching(request, scope);
    const sorted = found.map(snapshotMessage).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const { items, next_token } = page(sorted, keyOf, request);
    return { entries: items.map((snapshot) => ({ snapshot })), next_token };
  }

  async #matching(request: ListSnapshotsRequest, scope: CallScope): Promise<SnapshotResource[]> {
    const { snapshot_id: id, source_volume_id: source } = request;
    if (id !== '') {
      const handle = decodeHandle(id);
      if (handle.kind !== 'snap' || (source !== '' && source !== handle.volume)) return [];
      const volume = await this.#volume(handle.volume, scope);
      const snapshot = volume === null ? null : await this.#get(volume, handle.snapshot, scope);
      return snapshot === null || snapshot.markRemoved ? [] : [snapshot];
    }
    if (source !== '') {
      const volume = await this.#volume(source, scope);
      return volume === null ? [] : (await this.#ofVolume(volume, scope)).filter(isListed);
    }
    const volumes = await this.#manager.list('volume', 'volumes', scope.signal);
    const found: SnapshotResource[] = [];
    for (let at = 0; at < volumes.length; at += SNAPSHOT_LISTS_AT_ONCE) {
      const lists = volumes.slice(at, at + SNAPSHOT_LISTS_AT_ONCE).map((volume) => this.#ofVolume(volume, scope));
      found.push(...(await Promise.all(lists)).flat().filter(isListed));
    }
    return found;
  }

  #volume(id: string, { signal }: CallScope): Promise<VolumeResource | null> {
    return isVolumeId(id) ? this.#manager.find('volume', 'volumes', id, signal) : Promise.resolve(null);
  }

  /** Snapshots of a volume; none of one that is gone meanwhile, or faulted and so without actions. */
  async #ofVolume(volume: VolumeResource, { signal }: CallScope): Promise<SnapshotResource[]> {
    if (!volume.offeredActions.includes('snapshotCRList')) return [];
    try {
      const answer = await this.#manager.act(volume, 'snapshotCRList', {}, { repeatable: true, signal });
      return decodeCollection('snapshotCR', answer);
    } catch (error) {
      if (error instanceof ManagerFault && error.status === 404) return [];
      throw error;
    }
  }

  async #get(volume: VolumeResource, name: string, { signal }: CallScope): Promise<SnapshotResource | null> {
    try {
      const answer = await this.#manager.act(volume, 'snapshotCRGet', { name }, { repeatable: true, signal });
      return decodeResource('snapshotCR', answer);
    } catch (error) {
      if (error instanceof ManagerFault && error.status === 404) return null;
      throw error;
    }
  }

  async #take(
    volume: VolumeResource,
    name: string,
    labels: Readonly<Record<string, string>>,
    scope: CallScope,
  ): Promise<void> {
    try {
      const input = { name, labels };
      await this.#manager.act(volume, 'snapshotCRCreate', input, { repeatable: false, signal: scope.signal });
    } catch (error) {
      if (rpcErrorOf(error).code !== Code.AlreadyExists) throw error;
      // Of this volume: another call was faster. Of another one: the name is taken.
      if ((await this.#get(volume, name, scope)) !== null) return;
      throw rpcError(Code.AlreadyExists, `a snapshot ${name} of another volume than ${volume.id} exists`, {
        cause: error,
      });
    }
  }

  async #whenNoted(volume: VolumeResource, name: string, scope: CallScope): Promise<void> {
    const start = scope.clock.now();
    await waitUntil(scope, STATE_TIMEOUT_MS, `snapshot ${name} of volume ${volume.id} is not gone`, async () => {
      const snapshot = await this.#get(volume, name, scope);
      const isOver = snapshot === null || snapshot.markRemoved || !snapshot.readyToUse;
      // A detached volume must be attached for it; that goes on without this call.
      const isLong = scope.clock.now() - start > SNAPSHOT_REMOVAL_NOTED_MS;
      return isOver || isLong ? { done: true, value: null } : { done: false, waitingFor: snapshot.error ?? '' };
    });
  }
}

function keyOf(snapshot: ProtoInput<Snapshot> & object): string {
  return snapshot.snapshot_id ?? '';
}
