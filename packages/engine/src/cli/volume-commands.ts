/** `info`, `expand`, `frontend …`, `unmap-mark-snap-chain-removed`, `journal`, `version`, `start-with-replicas`. */
import type { VersionOutput, Volume } from '@longhorn/shared-types/generated/ptypes';
import { VERSIONS } from '../controller/versions.ts';
import { controllerOf } from '../client/flow.ts';
import { withEngine, type GlobalFlags } from './engine-flow.ts';
import { goJson } from './go-output.ts';

export async function info(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => goJson(infoOf(await controllerOf(flow).VolumeGet({}))));
}

/** Upstream's keys, the odd capital of the last one included. */
function infoOf(volume: Volume): Record<string, unknown> {
  return {
    name: volume.name,
    size: volume.size,
    replicaCount: volume.replicaCount,
    endpoint: volume.endpoint,
    frontend: volume.frontend,
    frontendState: volume.frontendState,
    isExpanding: volume.isExpanding,
    lastExpansionError: volume.last_expansion_error,
    lastExpansionFailedAt: volume.last_expansion_failed_at,
    unmapMarkSnapChainRemoved: volume.unmap_mark_snap_chain_removed,
    snapshotMaxCount: volume.snapshot_max_count,
    SnapshotMaxSize: volume.snapshot_max_size,
  };
}

/** Our engine's view of its I/O and its membership; not one of upstream's commands. */
export async function ioStatus(flags: GlobalFlags): Promise<string> {
  return withEngine(flags, async (flow) => {
    const { ioState, ioReason, ioSince, epoch, highestEpochSeen, membership, membershipRequest } = await controllerOf(
      flow,
    ).VolumeGet({});
    return goJson({ ioState, ioReason, ioSince, epoch, highestEpochSeen, membership, membershipRequest });
  });
}

export async function startWithReplicas(
  flags: GlobalFlags,
  addresses: readonly string[],
  { size, currentSize }: { size?: number; currentSize?: number },
): Promise<void> {
  if (addresses.length === 0) throw new Error('replica address is required');
  if (size === undefined) throw new Error('size is required');
  if (currentSize === undefined) throw new Error('current-size is required');
  await withEngine(flags, async (flow) => {
    const controller = controllerOf(flow);
    const { replicaCount } = await controller.VolumeGet({});
    if (replicaCount > 0) throw new Error('cannot add multiple replicas if volume is already up');
    await controller.VolumeStart({ replicaAddresses: addresses, size, currentSize });
  });
}

export async function expand(flags: GlobalFlags, size: number | undefined): Promise<void> {
  if (size === undefined) throw new Error('size is required');
  await withEngine(flags, (flow) => controllerOf(flow).VolumeExpand({ size }));
}

export async function frontendStart(flags: GlobalFlags, name: string | undefined): Promise<void> {
  if (name === undefined || name === '') throw new Error('missing required parameter frontendName');
  await withEngine(flags, (flow) => controllerOf(flow).VolumeFrontendStart({ frontend: name }));
}

export async function frontendShutdown(flags: GlobalFlags): Promise<void> {
  await withEngine(flags, (flow) => controllerOf(flow).VolumeFrontendShutdown({}));
}

export async function unmapMark(flags: GlobalFlags, enable: boolean, disable: boolean): Promise<void> {
  if (enable && disable) throw new Error('cannot enable and disable this option simultaneously');
  if (!enable && !disable) throw new Error('this option is not specified');
  await withEngine(flags, (flow) => controllerOf(flow).VolumeUnmapMarkSnapChainRemovedSet({ enabled: enable }));
}

export async function journal(flags: GlobalFlags, limit: number): Promise<void> {
  await withEngine(flags, (flow) => controllerOf(flow).JournalList({ limit }));
}

export async function version(flags: GlobalFlags, clientOnly: boolean): Promise<string> {
  if (clientOnly) return goJson({ clientVersion: VERSIONS, serverVersion: null });
  return withEngine(flags, async (flow) => {
    const { version: server } = await controllerOf(flow).VersionDetailGet({});
    return goJson({ clientVersion: VERSIONS, serverVersion: server ? versionOf(server) : null });
  });
}

function versionOf(output: VersionOutput): VersionOutput {
  return { ...output };
}
