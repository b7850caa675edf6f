/** Reverts the volume to a snapshot: only without a frontend, on all replicas, none being rebuilt. */
import { rfc3339 } from './control-clock.ts';
import { changeLayers, withPausedIo } from './layer-operation.ts';
import { lookAt } from './replica-entry.ts';
import type { ReplicaReport } from './replica-report.ts';
import { diskNameOf } from './snapshot.ts';
import type { DoubtSettling } from './doubt-settling.ts';
import type { VolumeContext } from './volume-context.ts';

export async function revertTo(
  context: VolumeContext,
  settling: DoubtSettling,
  name: string,
  isFrontendUp: boolean,
): Promise<void> {
  const [reader] = context.replicas.inStage('reading');
  if (!reader || context.replicas.inStage('joining').length > 0) {
    throw new Error('not valid state to revert, rebuilding in process or all replica are in ERR state');
  }
  const disk = diskNameOf(name);
  const found = (await lookAt(reader)).disks[disk];
  if (!found) throw new Error(`cannot do revert since the target snapshot ${name} is not found`);
  if (found.removed) throw new Error(`cannot revert to removed snapshot ${name}`);
  if (isFrontendUp) throw new Error('volume frontend enabled, aborting snapshot revert');
  await settling.whenSettled();
  const request = { name: disk, created: rfc3339(context.clock.date()) };
  await withPausedIo(context, async () => {
    try {
      await changeLayers(context, {
        after: (before) => ({ sizeBytes: before.sizeBytes, chain: chainFrom(before, disk) }),
        change: (entry, options) => entry.client.ReplicaRevert(request, options),
      });
    } catch (cause) {
      throw new Error(`failed to revert to ${disk} on all replicas`, { cause });
    }
  });
}

/** The chain below a head whose parent is `disk`. */
function chainFrom(report: ReplicaReport, disk: string): string[] {
  const chain: string[] = [];
  for (let name = disk; name !== '' && !chain.includes(name); name = report.disks[name]?.parent ?? '') chain.push(name);
  return chain;
}
