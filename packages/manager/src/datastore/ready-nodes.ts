/** Which nodes of Kubernetes can do anything about their pods, for jobs without caches. */
import { CORE_RESOURCES, decodeKubeNode, type KubeNode } from './core-kinds.ts';
import type { KubeTransport } from './kube-transport.ts';

function isReady({ conditions }: KubeNode): boolean {
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** Names of the nodes that are ready. On any other, nobody ends or replaces a pod. */
export async function readyNodes(transport: KubeTransport): Promise<ReadonlySet<string>> {
  const { items } = await transport.list(CORE_RESOURCES.kubeNodes, '');
  return new Set(
    items
      .map(decodeKubeNode)
      .filter(isReady)
      .map(({ metadata }) => metadata.name),
  );
}
