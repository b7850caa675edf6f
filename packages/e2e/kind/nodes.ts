/** The cluster's nodes as what they are in kind: containers of the local docker with the nodes' names. */
import { at } from '../src/kube.ts';
import { run } from '../src/shell.ts';
import { list } from './kubectl.ts';

/** Names of all nodes. */
export async function nodeNames(): Promise<string[]> {
  return (await list('nodes', null)).map(({ metadata }) => metadata.name).sort();
}

/** Names of the nodes that take pods. */
export async function workers(): Promise<string[]> {
  const nodes = await list('nodes', null);
  const takesPods = (node: object): boolean => {
    const taints: unknown = at(node, 'spec.taints');
    return !(Array.isArray(taints) && taints.some((taint: unknown) => at(taint, 'effect') === 'NoSchedule'));
  };
  return nodes
    .filter(takesPods)
    .map(({ metadata }) => metadata.name)
    .sort();
}

/** Name of a node of the control plane. */
export async function controlPlane(): Promise<string> {
  const label = 'node-role.kubernetes.io/control-plane';
  const found = (await list('nodes', null)).find(({ metadata }) => JSON.stringify(metadata['labels']).includes(label));
  if (found === undefined) throw new Error(`no node has the label ${label}`);
  return found.metadata.name;
}

/** Runs a shell script as root on a node; answers its output. */
export function onNode(node: string, script: string, timeoutMs = 60_000): Promise<string> {
  // By its input: a script that looks for processes must not find its own command line.
  return run('docker', ['exec', '--interactive', node, 'sh', '-s'], { input: script, timeoutMs });
}

/** Fails with a word on the way out where a node is no container of this docker. */
export async function checkNodes(): Promise<void> {
  for (const node of await nodeNames()) {
    try {
      await onNode(node, 'true');
    } catch (error) {
      throw new Error(
        `node ${node} is no container of the local docker: these tests need a cluster of "kind create cluster" on this machine, named by KUBECONFIG`,
        { cause: error },
      );
    }
  }
}

/** Ends a node as a loss of power does: no process is told. */
export async function cutPower(node: string): Promise<void> {
  await run('docker', ['kill', node]);
}

/** Starts a node that was ended. */
export async function powerOn(node: string): Promise<void> {
  await run('docker', ['start', node], { timeoutMs: 60_000 });
}

/** Process ids on a node whose command line has all these words. */
export async function processesOf(node: string, ...words: readonly string[]): Promise<number[]> {
  const lines = (await onNode(node, PROCESS_LIST)).split('\n');
  return lines
    .filter((line) => words.every((word) => line.includes(word)))
    .map((line) => Number(line.split(' ', 1)[0]));
}

/** `PID COMMAND LINE` of every process; ps would wait for one that hangs. */
const PROCESS_LIST = `for d in /proc/[0-9]*; do c=$(tr '\\0' ' ' < $d/cmdline 2>/dev/null) && [ -n "$c" ] && echo "\${d#/proc/} $c"; done; true`;
