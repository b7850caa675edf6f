/** CreateVolume and DeleteVolume: the same request again has the same result, whoever made the volume. */
import { autoCorrectName } from '@longhorn/shared-types';
import type {
  CreateVolumeRequest,
  CreateVolumeResponse,
  DeleteVolumeRequest,
  VolumeCapability,
} from '@longhorn/shared-types/generated/csi-v1';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import type { ProtoInput } from '@longhorn/shared-types/grpc/service-token';
import { waitUntil, type CallScope } from '../call/scope.ts';
import { MIB_BYTES, STATE_TIMEOUT_MS, XFS_SIZE_BYTES_MIN } from '../limits.ts';
import type { ManagerClient } from '../api/manager-client.ts';
import { rpcErrorOf } from '../api/manager-fault.ts';
import { readersOf } from '../api/copy-state.ts';
import { blockers, bytesOf, type VolumeResource } from '../api/volume-state.ts';
import { dataSourceOf, findSource, type Source } from './content-source.ts';
import { parseParameters, type Parameters, type VolumeFields } from './parameters.ts';
import {
  checkedCapabilities,
  checkedName,
  fileSystemOf,
  invalid,
  isVolumeId,
  requiredVolumeId,
  sizeFor,
  type SizeRange,
} from '../call/request-checks.ts';
import { holderOf } from './publish.ts';
import { hostnameOf, strictLocalNode, TOPOLOGY_KEY } from './topology.ts';

/** Id of the volume for the name that a caller chose. */
export function volumeIdFor(name: string): string {
  const id = autoCorrectName(checkedName(name, 'name'));
  if (id === '') throw invalid('volume id missing in request');
  return requiredVolumeId(id);
}

/** Fields that a volume keeps for ever: if they differ, it is another volume of the same name. */
const LASTING = [
  'accessMode',
  'dataSource',
  'fromBackup',
  'backingImage',
  'dataEngine',
  'encrypted',
  'migratable',
] as const;
const DEFAULTS: Readonly<Record<(typeof LASTING)[number], string | boolean>> = {
  accessMode: 'rwo',
  dataSource: '',
  fromBackup: '',
  backingImage: '',
  dataEngine: 'v1',
  encrypted: false,
  migratable: false,
};

/** Why an existing volume is not the one that is asked for; null when it is. */
export function conflictWith(
  volume: VolumeResource,
  wanted: VolumeFields,
  { sizeBytes, limitBytes }: SizeRange,
): string | null {
  const size = bytesOf(volume.size);
  const isWithin = size === sizeBytes || (limitBytes !== 0n && size >= sizeBytes && size <= limitBytes);
  if (!isWithin) return `volume ${volume.id} size ${size} differs from requested size ${sizeBytes}`;
  for (const field of LASTING) {
    const asked = wanted[field] === undefined || wanted[field] === '' ? DEFAULTS[field] : wanted[field];
    if (volume[field] !== asked) {
      return `volume ${volume.id} exists with ${field} ${JSON.stringify(volume[field])}, requested is ${JSON.stringify(asked)}`;
    }
  }
  return null;
}

function checkXfsSize(capabilities: readonly VolumeCapability[], sizeBytes: bigint): void {
  if (sizeBytes >= XFS_SIZE_BYTES_MIN || !capabilities.some((one) => fileSystemOf(one) === 'xfs')) return;
  throw rpcError(
    Code.OutOfRange,
    `XFS filesystems with size ${sizeBytes}, smaller than ${XFS_SIZE_BYTES_MIN}, are not supported: ask for at least ${XFS_SIZE_BYTES_MIN / MIB_BYTES}Mi`,
  );
}

/** Size of a copy: that of its source if the request says none. */
export function sizeOfCopy(source: Source, range: SizeRange, isSaid: boolean): SizeRange {
  const { sizeBytes, limitBytes } = range;
  if (sizeBytes >= source.sizeBytes) return range;
  const isWithin = limitBytes === 0n || source.sizeBytes <= limitBytes;
  if (!isSaid && isWithin) return { sizeBytes: source.sizeBytes, limitBytes };
  throw rpcError(
    Code.OutOfRange,
    `the requested size (${sizeBytes} bytes) is smaller than that of its source ${source.dataSource} (${source.sizeBytes} bytes)`,
  );
}

/** Fields of the new volume: of the class, and of what it is made from. */
export function wantedFields(fields: VolumeFields, source: Source | null): VolumeFields {
  const { cloneMode, ...others } = fields;
  const dataSource = source?.dataSource ?? fields.dataSource ?? '';
  return {
    ...others,
    ...(source === null ? {} : { dataSource }),
    // A class may say how its volumes are copied; one that is not a copy has no such field.
    ...(dataSource === '' || cloneMode === undefined ? {} : { cloneMode }),
  };
}

export class VolumeLifecycle {
  readonly #manager: ManagerClient;

  constructor(manager: ManagerClient) {
    this.#manager = manager;
  }

  async create(request: CreateVolumeRequest, scope: CallScope): Promise<ProtoInput<CreateVolumeResponse>> {
    const id = volumeIdFor(request.name);
    const capabilities = checkedCapabilities(request.volume_capabilities);
    if (Object.keys(request.mutable_parameters).length > 0) {
      throw invalid('mutable_parameters are not supported: use parameters');
    }
    const asked = sizeFor(request.capacity_range);
    const { fields, unknown } = parseParameters(request.parameters);
    const present = await this.#find(id, scope);
    const source = await this.#sourceOf(request, present, scope);
    if (source === null) checkXfsSize(capabilities, asked.sizeBytes);
    const isSaid = (request.capacity_range?.required_bytes ?? 0n) > 0n;
    // The size of a volume that is there is compared, not chosen.
    const range = source === null || (present !== null && isSaid) ? asked : sizeOfCopy(source, asked, isSaid);
    const wanted = wantedFields(fields, source);
    const volume = present ?? (await this.#make(id, wanted, unknown, range, scope));
    if (volume.state === 'deleting') throw rpcError(Code.Aborted, `volume ${id} is still being deleted: try again`);
    const conflict = conflictWith(volume, wanted, range);
    if (conflict !== null) throw rpcError(Code.AlreadyExists, conflict);
    return {
      volume: {
        volume_id: id,
        capacity_bytes: bytesOf(volume.size),
        volume_context: contextOf(request.parameters, source),
        content_source: request.volume_content_source,
        accessible_topology: await this.#topology(request, volume, scope),
      },
    };
  }

  /** A volume that was made from it does not need its source any more: that may be gone. */
  async #sourceOf(
    { volume_content_source: asked }: CreateVolumeRequest,
    present: VolumeResource | null,
    scope: CallScope,
  ): Promise<Source | null> {
    const dataSource = dataSourceOf(asked);
    if (dataSource === '' || present?.dataSource !== dataSource) return findSource(this.#manager, asked, scope);
    return { dataSource, sizeBytes: bytesOf(present.size) };
  }

  /** Ends when the volume is gone; one that never was is fine. One in use stays, as CSI has it: its data is somebody's. */
  async delete(request: DeleteVolumeRequest, scope: CallScope): Promise<Record<never, never>> {
    const id = request.volume_id;
    if (id === '') throw invalid('volume id missing in request');
    // Nothing can have such a name.
    if (!isVolumeId(id)) return {};
    const volume = await this.#find(id, scope);
    if (volume === null) return {};
    const holder = volume.state === 'deleting' ? null : holderOf(volume, null);
    if (holder !== null) {
      throw rpcError(Code.FailedPrecondition, `volume ${id} is in use by ${holder}: detach it before it is deleted`);
    }
    await this.#whenRead(id, scope);
    await this.#manager.deleteVolume(id, scope.signal);
    await waitUntil(scope, STATE_TIMEOUT_MS, `failed to delete volume ${id}`, async () => {
      const left = await this.#find(id, scope);
      if (left === null) return { done: true, value: null };
      return { done: false, waitingFor: `it is ${left.state}: ${blockers(left)}` };
    });
    return {};
  }

  /** Its copies are complete volumes for whoever asked for them: they get their data before their source goes. */
  async #whenRead(id: string, scope: CallScope): Promise<void> {
    await waitUntil(scope, STATE_TIMEOUT_MS, `failed to delete volume ${id}`, async () => {
      const readers = readersOf(id, await this.#manager.list('volume', 'volumes', scope.signal));
      if (readers.length === 0) return { done: true, value: null };
      return { done: false, waitingFor: `it is being copied to ${readers.join(', ')}: delete them first, or wait` };
    });
  }

  #find(id: string, scope: CallScope): Promise<VolumeResource | null> {
    return this.#manager.find('volume', 'volumes', id, scope.signal);
  }

  async #make(
    id: string,
    wanted: VolumeFields,
    unknown: readonly string[],
    { sizeBytes }: SizeRange,
    scope: CallScope,
  ): Promise<VolumeResource> {
    if (unknown.length > 0) scope.warn(`StorageClass parameters that mean nothing: ${unknown.join(', ')}`);
    try {
      await this.#manager.createVolume(
        { ...wanted, name: id, size: String(sizeBytes), ...(unknown.length > 0 ? { unknownParameters: unknown } : {}) },
        scope.signal,
      );
    } catch (error) {
      // Another plugin was faster: what it made is compared with what is wanted.
      if (rpcErrorOf(error).code !== Code.AlreadyExists) throw error;
    }
    return waitUntil(scope, STATE_TIMEOUT_MS, 'failed to wait for volume creation to complete', async () => {
      const volume = await this.#find(id, scope);
      if (volume === null) return { done: false, waitingFor: `volume ${id} is not there yet` };
      if (volume.state !== '' && volume.state !== 'creating') return { done: true, value: volume };
      return { done: false, waitingFor: `volume ${id} is ${volume.state || 'new'}: ${blockers(volume)}` };
    });
  }

  /** Only a strict-local volume is bound to a node: that of its replica. */
  async #topology(
    { parameters, accessibility_requirements: requirements }: CreateVolumeRequest,
    volume: VolumeResource,
    { signal }: CallScope,
  ): Promise<{ segments: Record<string, string> }[]> {
    // Of the volume itself: what its class leaves out, the setting default-data-locality says.
    if (volume.dataLocality !== 'strict-local') return [];
    const placed = volume.replicas.find(({ hostId }) => hostId !== '');
    if (placed !== undefined) {
      const home = await this.#manager.find('node', 'nodes', placed.hostId, signal);
      return [{ segments: { [TOPOLOGY_KEY]: home === null ? placed.hostId : hostnameOf(home) } }];
    }
    const wished = [...(requirements?.preferred ?? []), ...(requirements?.requisite ?? [])];
    if (wished.length === 0) return [];
    const node = await strictLocalNode(this.#manager, parameters, wished, bytesOf(volume.size), signal);
    return [{ segments: { [TOPOLOGY_KEY]: hostnameOf(node) } }];
  }
}

/** What later calls are told about the volume: its parameters, the same for every repetition of the request. */
function contextOf(parameters: Parameters, source: Source | null): Record<string, string> {
  return { ...parameters, ...(source === null ? {} : { dataSource: source.dataSource }) };
}
