/** The volume's core as the control side wants it. */
import { CORE_LIMITS } from './core/core-limits.ts';
import type { CoreClock } from './core/member-link.ts';
import { nodeClock } from './core/node-clock.ts';
import { VolumeCore } from './core/volume-core.ts';
import { memberFailed } from './membership-change.ts';
import type { VolumeContext } from './volume-context.ts';

/** A core whose failed members lead to a change of the membership. */
export function createVolumeCore(context: VolumeContext, clock: CoreClock = nodeClock): VolumeCore {
  return new VolumeCore({
    sizeBytes: context.layout.sizeBytes,
    clock,
    limits: CORE_LIMITS,
    replicaTimeoutMs: context.options.replicaTimeoutMs,
    onNoSpace: () => context.noSpace(),
    onMemberFailed: (id, failure, role) => memberFailed(context, id, failure, role),
  });
}
