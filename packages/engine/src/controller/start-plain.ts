/** Upstream's start, for an engine without an epoch: no records, no comparison; the caller answers for the replicas. */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { MemberLink } from './core/member-link.ts';
import { attach, closeReplica, newEntry, openPlain, refuse } from './replica-entry.ts';
import { readReport, type ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import { pushSettings } from './volume-settings.ts';
import type { VolumeContext } from './volume-context.ts';

/** Head modification times within this of the newest are one crash (upstream's salvage rule). */
const SALVAGE_WINDOW_NS = 5_000_000_000n;

/** No replica can be used although all were reached: the process exits with 61, which the control plane looks for. */
export class ReplicaStartError extends Error {
  override readonly name = 'ReplicaStartError';
}

interface Opened {
  readonly entry: ReplicaEntry;
  readonly link: MemberLink;
  report: ReplicaReport;
}

/** VolumeStart: no addresses, or replicas already present: success without action. */
export async function startPlain(
  context: VolumeContext,
  addresses: readonly string[],
  sizeBytes: number,
  currentSizeBytes: number,
): Promise<void> {
  if (addresses.length === 0 || context.replicas.size > 0) return;
  const entries = addresses.map((address) => newEntry(context, address));
  const opened: Opened[] = [];
  let unavailable = false;
  await Promise.all(
    entries.map(async (entry) => {
      try {
        const { report, link } = await openPlain(context, entry);
        opened.push({ entry, link, report });
      } catch (error) {
        refuse(entry, errorText(error));
        unavailable ||= entry.reason.includes('rpc error: code = Unavailable');
      }
    }),
  );
  opened.sort((left, right) => entries.indexOf(left.entry) - entries.indexOf(right.entry));
  if (addresses.length === 1) await clearRebuilding(context, opened);
  const size = volumeSize(opened, sizeBytes, currentSizeBytes);
  const accepted = accept(context, opened, size);
  if (accepted.length === 0) {
    await letGo(context, entries, opened);
    throw noBackend(addresses, unavailable);
  }
  for (const entry of entries) context.replicas.add(entry);
  await begin(context, accepted, size);
  await pushSettings(context);
}

/** None serves: what was opened is closed, so that the next start finds it closed. What another engine has open is left alone. */
async function letGo(
  context: VolumeContext,
  entries: readonly ReplicaEntry[],
  opened: readonly Opened[],
): Promise<void> {
  await Promise.all(
    entries.map(async (entry) => {
      context.log.warn('a replica cannot be used', { replica: entry.address, reason: entry.reason });
      if (opened.some((one) => one.entry === entry)) return closeReplica(context, entry);
      entry.client.close();
      entry.syncAgent.close();
      return undefined;
    }),
  );
}

function noBackend(addresses: readonly string[], unavailable: boolean): Error {
  const list = `[${addresses.join(' ')}]`;
  if (unavailable) {
    return new Error(`no available backend due to service unavailable from the addresses ${list}`);
  }
  return new ReplicaStartError(`no available backend due to replica error from the addresses ${list}`);
}

async function clearRebuilding(context: VolumeContext, opened: readonly Opened[]): Promise<void> {
  const timeoutMs = context.options.replicaTimeoutMs;
  for (const one of opened) {
    if (!one.report.rebuilding) continue;
    const { replica } = await one.entry.client.RebuildingSet({ rebuilding: false }, { timeoutMs });
    one.report = readReport(replica);
  }
}

function volumeSize(opened: readonly Opened[], sizeBytes: number, currentSizeBytes: number): number {
  if (currentSizeBytes === 0) return sizeBytes;
  const isExpanded = opened.length > 0 && opened.every(({ report }) => report.sizeBytes === sizeBytes);
  return isExpanded ? sizeBytes : currentSizeBytes;
}

/** Those that may serve; the others are refused, their connection closed. */
function accept(context: VolumeContext, opened: readonly Opened[], sizeBytes: number): Opened[] {
  const sectorSize = opened[0]?.report.sectorSize;
  let accepted = opened.filter((one) => {
    const { state, sizeBytes: size, sectorSize: sector, revisionCounterDisabled } = one.report;
    const reason =
      state !== 'open' && state !== 'dirty'
        ? `its state is ${state}`
        : sector !== sectorSize
          ? `its sector size is ${sector}`
          : size !== sizeBytes
            ? `its size is ${size}, the volume's ${sizeBytes}`
            : !context.options.upgrade && revisionCounterDisabled !== context.options.revisionCounterDisabled
              ? `its revision counter is ${revisionCounterDisabled ? 'disabled' : 'enabled'}`
              : '';
    return keepUnless(one, reason);
  });
  if (context.options.upgrade) return accepted;
  if (!context.options.revisionCounterDisabled) {
    const highest = Math.max(...accepted.map(({ report }) => report.revisionCounter));
    accepted = accepted.filter((one) =>
      keepUnless(one, one.report.revisionCounter < highest ? `its revision counter is below ${highest}` : ''),
    );
  } else if (context.options.salvageRequested) {
    const winner = salvageWinner(accepted);
    accepted = accepted.filter((one) => keepUnless(one, one === winner ? '' : 'another replica was salvaged'));
  }
  return accepted;
}

function keepUnless(one: Opened, reason: string): boolean {
  if (reason === '') return true;
  refuse(one.entry, reason);
  one.link.close();
  return false;
}

/** Of those modified last, the one with the largest head. */
function salvageWinner(candidates: readonly Opened[]): Opened | null {
  let newest = 0n;
  for (const { report } of candidates) if (report.lastModifyTime > newest) newest = report.lastModifyTime;
  let winner: Opened | null = null;
  for (const one of candidates) {
    if (one.report.lastModifyTime + SALVAGE_WINDOW_NS <= newest) continue;
    const better = winner && one.report.headFileSize - winner.report.headFileSize;
    const isLater = winner !== null && better === 0 && one.report.lastModifyTime > winner.report.lastModifyTime;
    if (better === null || better > 0 || isLater) winner = one;
  }
  return winner;
}

async function begin(context: VolumeContext, accepted: readonly Opened[], sizeBytes: number): Promise<void> {
  await context.core.pause();
  context.core.setSize(sizeBytes);
  context.layout = { sizeBytes, chain: accepted[0]?.report.chain ?? [] };
  for (const { entry, link } of accepted) attach(context, entry, link, 'reading');
  context.core.resume();
  context.io.set('serving', '');
  context.changed();
}
