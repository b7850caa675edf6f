/** Makes, opens and closes the engine's side of one replica. */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { CLOSE_TIMEOUT_MS, OPEN_TIMEOUT_MS, PROBE_TIMEOUT_MS } from './control-limits.ts';
import type { MemberRole } from './core/core-api.ts';
import type { MemberLink } from './core/member-link.ts';
import { readReport, type ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

/** A new entry that is not connected yet. Only the replica that is rebuilt is told which instance is meant. */
export function newEntry(context: VolumeContext, address: string, instanceName = ''): ReplicaEntry {
  return {
    address,
    client: context.backends.replica(address, instanceName),
    syncAgent: context.backends.syncAgent(address, instanceName),
    name: instanceName === '' ? address : instanceName,
    stage: 'opening',
    reason: '',
    memberId: null,
    report: null,
    removal: null,
  };
}

/** Asks the replica what it is, without changing anything. */
export async function lookAt(entry: ReplicaEntry): Promise<ReplicaReport> {
  const { replica } = await entry.client.ReplicaGet({}, { timeoutMs: OPEN_TIMEOUT_MS });
  const report = readReport(replica);
  entry.report = report;
  if (report.instanceName !== '') entry.name = report.instanceName;
  return report;
}

/** What an engine with an epoch says when it opens a replica. */
export function openRequest({ options }: VolumeContext): { epoch: number; engineName: string } {
  const { epoch, engineName, volumeName } = options;
  return { epoch, engineName: engineName === '' ? volumeName : engineName };
}

/** Opens with this engine's epoch: engines of lower epochs are cut off from the replica. */
export async function openFenced(context: VolumeContext, entry: ReplicaEntry): Promise<ReplicaReport> {
  const before = await lookAt(entry);
  if (!before.knowsEpochs) {
    throw new Error(`replica ${entry.address} does not know epochs: start it with this version's engine image`);
  }
  const opened = await entry.client.ReplicaOpenEpoch(openRequest(context), { timeoutMs: OPEN_TIMEOUT_MS });
  const report = readReport(opened.replica);
  if (report.state === 'error') throw new Error(`replica ${entry.address} is in state error`);
  entry.report = report;
  return report;
}

/** Upstream's way to open: the replica must be closed, the data connection comes first. */
export async function openPlain(
  context: VolumeContext,
  entry: ReplicaEntry,
): Promise<{ report: ReplicaReport; link: MemberLink }> {
  const before = await lookAt(entry);
  if (before.state !== 'closed') {
    throw new Error(`replica must be closed, cannot add in state: ${before.state}`);
  }
  const link = await context.backends.openLink(entry.address, before, 0);
  try {
    const { replica } = await entry.client.ReplicaOpen({}, { timeoutMs: OPEN_TIMEOUT_MS });
    const report = readReport(replica);
    entry.report = report;
    return { report, link };
  } catch (error) {
    link.close();
    throw error;
  }
}

/** Hands the link to the core. */
export function attach(context: VolumeContext, entry: ReplicaEntry, link: MemberLink, role: MemberRole): void {
  entry.memberId = context.core.addMember(link, role);
  entry.stage = role;
  entry.reason = '';
}

/** A member that works is to go. One whose connection has failed meanwhile goes, or comes back, by that. */
export function leave(entry: ReplicaEntry, reason: string): void {
  if (entry.stage !== 'reading') return;
  entry.stage = 'leaving';
  entry.reason = reason;
}

/** Puts an entry aside as ERR. */
export function refuse(entry: ReplicaEntry, reason: string): void {
  entry.stage = 'out';
  entry.reason = reason;
}

/**
 * Closes the replica's files and the clients; a replica that cannot be reached is closed by its own end or by the next
 * open, and one that another engine has opened since is left alone.
 */
export async function closeReplica(context: VolumeContext, entry: ReplicaEntry): Promise<void> {
  try {
    const { replica } = await entry.client.ReplicaGet({}, { timeoutMs: PROBE_TIMEOUT_MS });
    const report = readReport(replica);
    if (report.epoch <= context.options.epoch) await entry.client.ReplicaClose({}, { timeoutMs: CLOSE_TIMEOUT_MS });
  } catch (error) {
    context.log.warn('cannot close a replica', { replica: entry.address, reason: errorText(error) });
  } finally {
    entry.client.close();
    entry.syncAgent.close();
  }
}
