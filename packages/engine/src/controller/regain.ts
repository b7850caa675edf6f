/**
 * Takes members back whose connection was lost before the record without them was stored.
 *
 * Nothing was acknowledged since, so such a member has every acknowledged write if its file has them still: the host
 * did not restart, and the record that it holds is the active one or one that this engine proposed after it. What was not
 * acknowledged is sent to it again by the core, in order.
 */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { compareGenerations } from '../membership/record.ts';
import { fencingEpoch } from './backends.ts';
import { PROBE_TIMEOUT_MS } from './control-limits.ts';
import type { MembershipKeeper } from './membership-keeper.ts';
import { openRequest } from './replica-entry.ts';
import { readReport, type ReplicaReport } from './replica-report.ts';
import type { ReplicaEntry } from './replica-set.ts';
import type { VolumeContext } from './volume-context.ts';

/** Tries all lost members once; true when one is back. Fails the volume when the last copies of unsynced writes are gone. */
export async function regainLost(context: VolumeContext): Promise<boolean> {
  const { keeper } = context;
  if (!keeper) return false;
  const lost = context.replicas.inStage('lost');
  const outcomes = await Promise.all(lost.map((entry) => regain(context, keeper, entry)));
  const cacheLost = outcomes.length > 0 && outcomes.every((outcome) => outcome === 'cache-lost');
  if (cacheLost && context.replicas.inStage('reading').length === 0) {
    context.fail('The hosts of all replicas restarted: writes that were not flushed are lost. Attach the volume anew.');
  }
  return outcomes.includes('back');
}

type Outcome = 'back' | 'away' | 'cache-lost';

async function regain(context: VolumeContext, keeper: MembershipKeeper, entry: ReplicaEntry): Promise<Outcome> {
  try {
    const { replica } = await entry.client.ReplicaGet({}, { timeoutMs: PROBE_TIMEOUT_MS });
    const report = readReport(replica);
    if (report.epoch > context.options.epoch) {
      context.fence(
        report.epoch,
        `Another engine of this volume was started: replica ${entry.name} knows epoch ${report.epoch}.`,
      );
      return 'away';
    }
    if (!holdsActiveRecord(keeper, report)) return 'away';
    if (report.hostRestarted) return 'cache-lost';
    // Its disk or its memory cannot be relied on until its process is another one.
    if (report.state === 'error') throw new Error(`replica ${entry.address} is in state error`);
    // Opened again in any case: frames of the old connection that the replica has not read yet must not follow the new ones.
    const opened = await entry.client.ReplicaOpenEpoch(openRequest(context), { timeoutMs: PROBE_TIMEOUT_MS });
    const link = await context.backends.openLink(entry.address, readReport(opened.replica), context.options.epoch);
    if (context.isOver() || entry.stage !== 'lost') {
      link.close();
      return 'away';
    }
    entry.memberId = context.core.addMember(link, 'reading');
    entry.stage = 'reading';
    entry.reason = '';
    context.log.info('a lost replica is back', { replica: entry.address });
    context.changed();
    return 'back';
  } catch (error) {
    const text = errorText(error);
    const higher = fencingEpoch(text);
    if (higher !== null)
      context.fence(higher, `Another engine of this volume was started: replica ${entry.name} answered "${text}".`);
    entry.reason = text;
    return 'away';
  }
}

function holdsActiveRecord(keeper: MembershipKeeper, report: ReplicaReport): boolean {
  if (!report.record || !keeper.active) return false;
  return report.record.epoch === keeper.epoch && compareGenerations(report.record, keeper.active) >= 0;
}
