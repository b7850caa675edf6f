/** Expansion: checked at once, done in the background, the outcome told by VolumeGet (upstream's rules and words). */
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { VOLUME_SECTOR_BYTES } from './control-limits.ts';
import { changeLayers, combinedError, withPausedIo, type OperationFailure } from './layer-operation.ts';
import { checkSnapshotLimits, diskNameOf, prepareSnapshot, snapshotOf } from './snapshot.ts';
import type { DoubtSettling } from './doubt-settling.ts';
import type { VolumeContext } from './volume-context.ts';

/** Starts an expansion; returns after the checks. `expandFrontend` tells the device, without any lock held. */
export function startExpansion(
  context: VolumeContext,
  settling: DoubtSettling,
  sizeBytes: number,
  expandFrontend: (sizeBytes: number) => Promise<void>,
): void {
  try {
    checkExpansion(context, sizeBytes);
  } catch (error) {
    recordFailure(context, `controller failed to start expansion: ${errorText(error)}`);
    throw error;
  }
  if (sizeBytes === context.layout.sizeBytes) return;
  context.isExpanding = true;
  context.lastExpansionError = '';
  context.lastExpansionFailedAt = '';
  context.changed();
  context.operations
    .run(() => expand(context, settling, sizeBytes, expandFrontend))
    .catch((error: unknown) => recordFailure(context, errorText(error)))
    .finally(() => {
      context.isExpanding = false;
      context.changed();
    })
    .catch(context.crash);
}

function checkExpansion(context: VolumeContext, sizeBytes: number): void {
  if (context.isExpanding) throw new Error('controller expansion is in progress');
  if (sizeBytes % VOLUME_SECTOR_BYTES !== 0 || !Number.isSafeInteger(sizeBytes)) {
    throw new Error(`requested expansion size ${sizeBytes} not multiple of volume sector size ${VOLUME_SECTOR_BYTES}`);
  }
  if (sizeBytes < context.layout.sizeBytes) {
    throw new Error(`controller cannot be expanded to a smaller size ${sizeBytes}`);
  }
  if (context.replicas.inStage('reading').length === 0) throw new Error('no available backend');
}

function recordFailure(context: VolumeContext, text: string): void {
  context.log.warn('expansion failed', { reason: text });
  context.lastExpansionError = text;
  context.lastExpansionFailedAt = context.clock.date().toISOString();
  context.changed();
}

async function expand(
  context: VolumeContext,
  settling: DoubtSettling,
  sizeBytes: number,
  expandFrontend: (sizeBytes: number) => Promise<void>,
): Promise<void> {
  await settling.whenSettled();
  // For the answer alone, whether all have space: of the present size, so an expansion makes its files itself.
  const probe = snapshotOf(context, `expand-${sizeBytes}`, { labels: {}, userCreated: false });
  await prepareSnapshot(context, probe, context.replicas.inStage('reading', 'joining'));
  await withPausedIo(context, async () => {
    await checkSnapshotLimits(context);
    const failures = await expandReplicas(context, sizeBytes);
    context.core.setSize(sizeBytes);
    if (failures.length > 0) {
      recordFailure(
        context,
        `the expansion succeeded, but some replica expansion failed: ${combinedError(failures).message}`,
      );
    }
  });
  context.changed();
  await expandFrontend(sizeBytes);
}

async function expandReplicas(context: VolumeContext, sizeBytes: number): Promise<OperationFailure[]> {
  const request = { size: sizeBytes };
  try {
    return await changeLayers(context, {
      after: (before) => ({ sizeBytes, chain: [diskNameOf(`expand-${sizeBytes}`), ...before.chain] }),
      change: (entry, options) => entry.client.ReplicaExpand(request, options),
    });
  } catch (cause) {
    throw new Error(`the expansion failed since all replica expansion failed: ${errorText(cause)}`, { cause });
  }
}
