/**
 * PodDisruptionBudgets: one for each running instance manager, made by the manager that is responsible for it, and those of
 * attacher and provisioner while a volume is in use, which the manager of the first node that is available makes.
 */
import { API_VERSION, type InstanceManager, type Replica } from '@longhorn/shared-types';
import { CORE_RESOURCES } from '../../datastore/core-kinds.ts';
import { isAlreadyExists, isNotFound, type RawObject } from '../../datastore/kube-transport.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import { responsible, settingsOf, type ControllerContext } from '../context.ts';
import { nodeIsUnavailable } from '../ownership.ts';
import { instanceManagerLabels } from '../instance-managers/pod.ts';
import { planBudget, type BudgetFacts, type BudgetStep, type ReplicaOnNode } from './plan.ts';
import { hasProtectedReplicaElsewhere } from './protection.ts';

/** Sidecars without which a volume in use cannot move. */
export const CSI_BUDGETS = ['csi-attacher', 'csi-provisioner'] as const;

/** Brings the budget of this name to what is wanted: an instance manager's name, or one of CSI_BUDGETS. */
export async function reconcileBudget(context: ControllerContext, name: string): Promise<Outcome> {
  const { datastore } = context;
  const isPresent = datastore.budgets.get(name) !== null;
  if (CSI_BUDGETS.some((known) => known === name)) {
    if (!responsible(context, firstNode(context), '')) return done;
    const isUsed = datastore.stores.Volume.list().some(({ status }) => status.state !== 'detached');
    const step = isUsed === isPresent ? 'nothing' : isUsed ? 'create' : 'delete';
    await act(context, name, step, { app: name }, []);
    return done;
  }
  const manager = datastore.stores.InstanceManager.get(name);
  if (manager === null || !responsible(context, manager.spec.nodeID, manager.status.ownerID)) return done;
  if (manager.status.currentState !== 'running' || manager.metadata.deletionTimestamp !== null) return done;
  const owner = {
    apiVersion: API_VERSION,
    kind: 'InstanceManager',
    name,
    uid: manager.metadata.uid,
    blockOwnerDeletion: true,
  };
  const step = planBudget(isPresent, budgetFacts(context, manager));
  await act(context, name, step, instanceManagerLabels(manager), [owner]);
  return done;
}

/** Name of the first node that is available; "" = none is. */
function firstNode({ datastore }: ControllerContext): string {
  const available = datastore.stores.Node.list().filter((node) => !nodeIsUnavailable(node));
  return available.map(({ metadata }) => metadata.name).sort()[0] ?? '';
}

function budgetFacts(context: ControllerContext, { spec }: InstanceManager): BudgetFacts {
  const { stores, kubeNodes } = context.datastore;
  const settings = settingsOf(context);
  const managers = stores.InstanceManager.byIndex('node', spec.nodeID);
  return {
    isCordoned: kubeNodes.get(spec.nodeID)?.unschedulable ?? false,
    autoscaler: settings.get('kubernetes-cluster-autoscaler-enabled'),
    policy: settings.get('node-drain-policy'),
    enginesOnNode: managers.reduce((sum, { status }) => sum + Object.keys(status.instanceEngines).length, 0),
    replicas: stores.Replica.byIndex('node', spec.nodeID).map((replica) => onNode(context, replica)),
  };
}

function onNode(context: ControllerContext, replica: Replica): ReplicaOnNode {
  const { spec, status } = replica;
  return {
    isStopped: status.currentState === 'stopped',
    isUnused: spec.healthyAt === '' && spec.failedAt === '',
    hasProtectedTwin: hasProtectedReplicaElsewhere(context, replica),
  };
}

async function act(
  { datastore, log }: ControllerContext,
  name: string,
  step: BudgetStep,
  matchLabels: Record<string, string>,
  ownerReferences: object[],
): Promise<void> {
  if (step === 'nothing') return;
  const { transport, namespace } = datastore;
  const { budgets } = CORE_RESOURCES;
  log.info({ budget: name, step }, 'changing a PodDisruptionBudget');
  try {
    if (step === 'delete') return await transport.delete(budgets, namespace, name, {});
    const object: RawObject = {
      apiVersion: 'policy/v1',
      kind: budgets.kind,
      metadata: { name, namespace, ownerReferences },
      spec: { minAvailable: 1, selector: { matchLabels } },
    };
    await transport.create(budgets, namespace, object);
  } catch (error) {
    // Another manager was first.
    if (!isAlreadyExists(error) && !isNotFound(error)) throw error;
  }
}
