/**
 * Where a volume is attached for the work of a controller: to grow, to be copied, for a snapshot, for its replicas to
 * move. Nothing binds that work to a node, so it goes where an engine can run, and elsewhere when that ends.
 */
import type { Volume } from '@longhorn/shared-types';
import { isTrue } from './conditions.ts';
import { imageOfInstanceManagers, type ControllerContext } from './context.ts';

export interface EngineNodes {
  /** Nodes that are ready and whose instance manager runs, by name; of a strict-local volume only that of its replica. */
  able: readonly { name: string; isCordoned: boolean }[];
  /** Where the volume's engine has a process now; '' = nowhere. */
  runsOn: string;
}

/** Where the replica of a strict-local volume is, and so its engine; '' = it is no such volume, or has no place yet. */
export function strictLocalNode({ datastore: { stores } }: ControllerContext, volume: string): string {
  if (stores.Volume.get(volume)?.spec.dataLocality !== 'strict-local') return '';
  const replicas = stores.Replica.byIndex('volume', volume).filter(
    ({ metadata }) => metadata.deletionTimestamp === null,
  );
  return replicas.map(({ spec }) => spec.nodeID).find((node) => node !== '') ?? '';
}

export function observeEngineNodes(context: ControllerContext, volume: string): EngineNodes {
  const { stores, kubeNodes } = context.datastore;
  const image = imageOfInstanceManagers(context);
  const boundTo = strictLocalNode(context, volume);
  const runsEngines = (node: string): boolean =>
    stores.InstanceManager.byIndex('node', node).some(
      ({ spec, status }) => spec.image === image && spec.dataEngine !== 'v2' && status.currentState === 'running',
    );
  const engine = stores.Engine.byIndex('volume', volume).find(({ spec }) => spec.active);
  return {
    able: stores.Node.list()
      .filter(({ metadata, status }) => metadata.deletionTimestamp === null && isTrue(status.conditions, 'Ready'))
      .map(({ metadata }) => metadata.name)
      .filter((name) => runsEngines(name) && (boundTo === '' || name === boundTo))
      .toSorted()
      .map((name) => ({ name, isCordoned: kubeNodes.get(name)?.unschedulable ?? true })),
    runsOn: engine?.status.currentState === 'running' ? engine.spec.nodeID : '',
  };
}

export function canRunEngine({ able, runsOn }: EngineNodes, node: string): boolean {
  return node !== '' && (node === runsOn || able.some(({ name }) => name === node));
}

/** The owner's node if it can, else another one; one that is cordoned only if there is no other. */
export function chooseEngineNode({ ownerID }: Volume['status'], { able }: EngineNodes): string {
  const staying = able.filter(({ isCordoned }) => !isCordoned);
  const choice = staying.length > 0 ? staying : able;
  return choice.some(({ name }) => name === ownerID) ? ownerID : (choice[0]?.name ?? ownerID);
}

/** Whether the volume is where it is wanted. */
export function isAttached({ spec, status }: Volume): boolean {
  return spec.nodeID !== '' && status.currentNodeID === spec.nodeID;
}

/** For a ticket that may be anywhere. `present`: where it is; '' = there is none. */
export function ticketNode(volume: Volume, present: string, nodes: EngineNodes): string {
  const { nodeID } = volume.spec;
  const isUnderWay = isAttached(volume) || (nodeID !== '' && present === nodeID);
  // While no node can, a change would only make it begin anew.
  if (isUnderWay && (canRunEngine(nodes, nodeID) || nodes.able.length === 0)) return nodeID;
  return chooseEngineNode(volume.status, nodes);
}
