/** The engine's state in the words of `ptypes`. */
import { ReplicaMode, type ControllerReplica, type Volume } from '@longhorn/shared-types/generated/ptypes';
import { openRequest } from './replica-entry.ts';
import { toWireRecord } from './replica-report.ts';
import { MODE_RW, MODE_WO, modeOf, type Mode, type ReplicaEntry } from './replica-set.ts';
import type { VolumeEngine } from './volume-engine.ts';

export function volumeMessage(engine: VolumeEngine): Volume {
  const { context, frontend } = engine;
  const { keeper, options } = context;
  const replicas = replicaMessages(engine);
  return {
    name: options.volumeName,
    size: context.layout.sizeBytes,
    replicaCount: replicas.length,
    endpoint: frontend.endpoint(),
    frontend: frontend.name,
    frontendState: frontend.state(),
    isExpanding: context.isExpanding,
    last_expansion_error: context.lastExpansionError,
    last_expansion_failed_at: context.lastExpansionFailedAt,
    unmap_mark_snap_chain_removed: context.unmapMarkSnapChainRemoved,
    snapshot_max_count: context.snapshotMaxCount,
    snapshot_max_size: context.snapshotMaxSizeBytes,
    epoch: options.epoch,
    engineName: openRequest(context).engineName,
    membership: keeper?.active ? toWireRecord(keeper.active) : null,
    membershipRequest: keeper?.request ? toWireRecord(keeper.request) : null,
    ioState: context.io.state,
    ioReason: ioReason(engine),
    ioSince: context.io.since,
    replicas,
    highestEpochSeen: Math.max(context.highestEpochSeen, options.epoch),
  };
}

/** A volume that serves without its device says so too. */
function ioReason({ context, frontendError }: VolumeEngine): string {
  if (context.io.reason !== '' || frontendError === '') return context.io.reason;
  return `The frontend did not come up: ${frontendError}`;
}

/** Replicas that are only being opened are not listed: to upstream's callers such an engine has none yet. */
export function replicaMessages({ context }: VolumeEngine): ControllerReplica[] {
  return context.replicas
    .all()
    .filter((entry) => entry.stage !== 'opening')
    .map(replicaMessage);
}

export function replicaMessage(entry: ReplicaEntry): ControllerReplica {
  return {
    address: { address: entry.address, instanceName: '' },
    mode: wireMode(modeOf(entry)),
    instanceName: entry.name === entry.address ? '' : entry.name,
    reason: entry.reason,
  };
}

function wireMode(mode: Mode): ReplicaMode {
  return mode === MODE_RW ? ReplicaMode.RW : mode === MODE_WO ? ReplicaMode.WO : ReplicaMode.ERR;
}

/** Throws for a number that no mode has. */
export function modeFromWire(mode: ReplicaMode): Mode {
  if (mode === ReplicaMode.WO) return 'WO';
  if (mode === ReplicaMode.RW) return 'RW';
  if (mode === ReplicaMode.ERR) return 'ERR';
  throw new Error(`unknown replica mode ${mode}`);
}
