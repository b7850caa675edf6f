/** Nodes of Kubernetes as the API server has them now, for those who must not go by a cache. */
import { CORE_RESOURCES, decodeKubeNode, type KubeNode } from './core-kinds.ts';
import { isNotFound, type KubeTransport } from './kube-transport.ts';

/** Whether its kubelet is there. On any other node, nobody ends or replaces a pod. */
export function kubeNodeIsReady(node: KubeNode | null): boolean {
  return node?.conditions.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** Null: there is no such node. */
export async function readKubeNode(transport: KubeTransport, name: string): Promise<KubeNode | null> {
  try {
    return decodeKubeNode(await transport.get(CORE_RESOURCES.kubeNodes, '', name));
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** Names of the nodes that are ready. */
export async function readyNodes(transport: KubeTransport): Promise<ReadonlySet<string>> {
  const { items } = await transport.list(CORE_RESOURCES.kubeNodes, '');
  return new Set(
    items
      .map(decodeKubeNode)
      .filter(kubeNodeIsReady)
      .map(({ metadata }) => metadata.name),
  );
}
