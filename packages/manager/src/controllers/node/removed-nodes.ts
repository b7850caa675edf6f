/**
 * Nodes that Kubernetes does not have any more. All that runs on a node goes with our object of it, and a node that
 * registers anew is missing for some seconds only: what is forgotten has been missing for a while without a break, and is
 * still missing when the API server itself is asked.
 */
import { ANNOTATION, type Node } from '@longhorn/shared-types';
import { readKubeNode } from '../../datastore/kube-nodes.ts';
import { limits } from '../../limits.ts';
import { done, type Outcome } from '../../reconcile/outcome.ts';
import type { ControllerContext } from '../context.ts';
import { nodeIsUnavailable } from '../ownership.ts';

export class RemovedNodes {
  readonly #context: ControllerContext;
  readonly #missingSinceMs = new Map<string, number>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** Kubernetes has it, or there is nothing to forget. */
  isSettled(name: string): void {
    this.#missingSinceMs.delete(name);
  }

  /** Deletes our object of a node that is missing once that is for good; the outcome says when to look again. */
  async follow(node: Node): Promise<Outcome> {
    const { datastore, clock, log } = this.#context;
    const { name, uid } = node.metadata;
    const nowMs = clock.now();
    const sinceMs = this.#missingSinceMs.get(name) ?? nowMs;
    this.#missingSinceMs.set(name, sinceMs);
    if (nowMs - sinceMs < limits.nodeRemovedAfterMs)
      return { kind: 'waiting', untilMs: sinceMs + limits.nodeRemovedAfterMs };
    const later: Outcome = { kind: 'waiting', untilMs: nowMs + limits.nodeRemovedAfterMs };
    if (!this.#isMine()) return later;
    if ((await readKubeNode(datastore.transport, name)) !== null) {
      this.isSettled(name);
      return later;
    }
    log.warn({ node: name }, 'a node that was removed from Kubernetes is forgotten');
    const marked = structuredClone(node);
    marked.metadata.annotations[ANNOTATION.deleteNodeFromLonghorn] = '';
    await datastore.saveMain('Node', node, marked);
    await datastore.delete('Node', name, { uid });
    return done;
  }

  /** The first manager that is well does it. */
  #isMine(): boolean {
    const { datastore, me } = this.#context;
    if (datastore.kubeNodes.size === 0) return false;
    const well = datastore.stores.Node.list().filter((other) => !nodeIsUnavailable(other));
    return well.map((other) => other.metadata.name).toSorted()[0] === me;
  }
}
