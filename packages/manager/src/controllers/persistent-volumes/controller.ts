/** Who uses a volume in Kubernetes, written into its status by the manager that owns it. */
import type { EventRecord } from '../../datastore/event-recorder.ts';
import { namespacedKey } from '../../datastore/object-store.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { recordAll, type ControllerContext } from '../context.ts';
import { choosePersistentVolume, planKubernetesStatus, useProblem } from './plan.ts';

const COMPONENT = 'longhorn-kubernetes-pv-controller';

/** `name`: of our volume. */
export async function reconcileVolumeUse(context: ControllerContext, name: string): Promise<Outcome> {
  const { datastore, clock, me, log } = context;
  const volume = datastore.stores.Volume.get(name);
  if (volume === null || volume.status.ownerID !== me) return done;
  const { kubernetesStatus } = volume.status;
  const pv = choosePersistentVolume(datastore.persistentVolumes.byIndex('volume', name), kubernetesStatus.pvName);
  const problem = useProblem({ pv, before: kubernetesStatus });
  if (problem !== null) {
    log.warn({ volume: name }, problem);
    return { kind: 'stalled', reason: problem };
  }
  const claim = pv?.claim ?? null;
  const pods = claim === null ? [] : datastore.workloadPods.byIndex('claim', namespacedKey(claim));
  let events: EventRecord[] = [];
  // Written only if it differs.
  const stored = await datastore.update('Volume', name, (present) => {
    const before = present.status.kubernetesStatus;
    const plan = planKubernetesStatus({ nowMs: clock.now(), volume: name, before, pv, pods });
    events = plan.events;
    present.status.kubernetesStatus = plan.status;
    return present;
  });
  if (stored !== null) recordAll(context, COMPONENT, stored, events);
  return done;
}
