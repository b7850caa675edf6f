/** kubectl and helm as the tests use them: against the cluster of KUBECONFIG, with a limit to every call. */
import { setTimeout as delay } from 'node:timers/promises';
import { waitFor } from '@longhorn/engine/testing/wait';
import { run } from '../src/shell.ts';

export const NAMESPACE = 'longhorn-system';
const CALL_MS = 60_000;
const PAUSE_MS = 1_000;

/** Any object of the cluster; tests read it by path with `at`. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; [key: string]: unknown };
  [key: string]: unknown;
}

/** Runs kubectl to its end; answers its output, throws with what it said. */
export function kubectl(args: readonly string[], input = '', timeoutMs = CALL_MS): Promise<string> {
  return run('kubectl', [...args], { input, timeoutMs });
}

/** The items of a kind; none where the kind is not known. */
export async function list(kind: string, namespace: string | null = NAMESPACE): Promise<KubeObject[]> {
  const scope = namespace === null ? [] : ['--namespace', namespace];
  const text = await kubectl(['get', kind, ...scope, '--output', 'json']);
  return (JSON.parse(text) as { items: KubeObject[] }).items;
}

/** One object; null = there is none. */
export async function get(
  kind: string,
  name: string,
  namespace: string | null = NAMESPACE,
): Promise<KubeObject | null> {
  const scope = namespace === null ? [] : ['--namespace', namespace];
  const text = await kubectl(['get', kind, name, ...scope, '--ignore-not-found', '--output', 'json']);
  return text.trim() === '' ? null : (JSON.parse(text) as KubeObject);
}

/** Applies objects, or a manifest as it stands. */
export async function apply(namespace: string, manifest: string | readonly object[]): Promise<void> {
  const text =
    typeof manifest === 'string' ? manifest : JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifest });
  await kubectl(['apply', '--namespace', namespace, '--filename', '-'], text);
}

/** A command in a pod; answers its output. */
export function inPod(namespace: string, pod: string, script: string, timeoutMs = 300_000): Promise<string> {
  return kubectl(['exec', '--namespace', namespace, pod, '--', 'bash', '-ec', script], '', timeoutMs);
}

/** Makes a namespace for one test. */
export async function makeNamespace(name: string): Promise<void> {
  await apply(name, [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }]);
}

/** Deletes a namespace and waits until it is gone. */
export async function dropNamespace(name: string): Promise<void> {
  await kubectl(['delete', 'namespace', name, '--ignore-not-found', '--timeout=180s'], '', 200_000);
}

/** A call of the manager's REST API, through the API server. */
export async function rest(method: 'GET' | 'POST', path: string, body: object = {}): Promise<unknown> {
  const raw = `/api/v1/namespaces/${NAMESPACE}/services/longhorn-backend:9500/proxy/v1/${path}`;
  const args = method === 'GET' ? ['get', '--raw', raw] : ['create', '--raw', raw, '--filename', '-'];
  return JSON.parse(await kubectl(args, method === 'GET' ? '' : JSON.stringify(body))) as unknown;
}

/** Gives one of our settings a value. */
export async function setSetting(name: string, value: string): Promise<void> {
  const patch = JSON.stringify({ value });
  await kubectl(['patch', 'settings.longhorn.io', name, '--namespace', NAMESPACE, '--type=merge', '--patch', patch]);
}

/** Waits until a probe of objects holds; the deadline's message ends with what was seen. */
export function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | null | false>,
  seen: () => Promise<string> = () => Promise.resolve(''),
): Promise<T> {
  // Each look starts a program: looking all the time would take the processor from what is waited for.
  const paced = async (): Promise<T | null | false> => {
    try {
      const found = await probe();
      if (found !== null && found !== false) return found;
    } catch (error) {
      await delay(PAUSE_MS);
      throw error;
    }
    await delay(PAUSE_MS);
    return null;
  };
  return waitFor(what, timeoutMs, paced, seen);
}
