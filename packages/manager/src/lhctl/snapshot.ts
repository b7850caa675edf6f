/** `lhctl snapshot create`: a snapshot by the manager's REST API, waited for until it can be used. */
import { pause, type Clock } from '../clock.ts';
import { limits } from './limits.ts';

/** What of a volume, and of a snapshot, is looked at. */
interface VolumeFacts {
  name: string;
  kubernetesStatus?: { pvcName?: string; namespace?: string } | null;
}
interface SnapshotFacts {
  name: string;
  // The API leaves out what is empty or false.
  readyToUse?: boolean;
  error?: string;
}

export interface SnapshotRequest {
  /** address of the manager's API, without `/v1` */
  backend: string;
  /** name of a volume, or else of a claim in `namespace` */
  target: string;
  namespace: string;
  /** of the snapshot; '' = the manager makes one up */
  name: string;
  labels: Readonly<Record<string, string>>;
  /** how long to wait until the snapshot can be used; ms */
  timeoutMs: number;
  clock: Clock;
  signal: AbortSignal;
}

/** Calls the API; throws with what it said, and how to reach it if it did not answer. */
async function call<T>({ backend, signal }: SnapshotRequest, path: string, body?: object): Promise<T> {
  const url = `${backend.replace(/\/+$/, '')}/v1/${path}`;
  let response: Response;
  try {
    response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(limits.callMs)]),
    });
  } catch (error) {
    throw new Error(
      `the manager does not answer at ${backend}: name its address by --backend or LONGHORN_BACKEND (in a cluster http://longhorn-backend.NAMESPACE:9500)`,
      { cause: error },
    );
  }
  const text = await response.text();
  if (!response.ok) throw new Error(`${path}: ${messageIn(text) ?? `status ${response.status}`}`);
  return JSON.parse(text) as T;
}

/** The message of an answer that is an error. */
function messageIn(text: string): string | null {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' && message !== '' ? message : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** The volume of that name, else the one behind the claim of that name. */
async function volumeOf(request: SnapshotRequest): Promise<string> {
  const { target, namespace } = request;
  const { data } = await call<{ data: VolumeFacts[] }>(request, 'volumes');
  const isOfClaim = ({ kubernetesStatus: status }: VolumeFacts): boolean =>
    status?.pvcName === target && status.namespace === namespace;
  const found = data.find(({ name }) => name === target) ?? data.find(isOfClaim);
  if (found === undefined)
    throw new Error(
      `there is no volume ${target}, and no claim ${target} in namespace ${namespace} that has one (--namespace names another)`,
    );
  return found.name;
}

/** Takes a snapshot and waits until it can be used; answers its name. Throws when it failed, or is not ready in time. */
export async function createSnapshot(request: SnapshotRequest): Promise<{ volume: string; snapshot: string }> {
  const { clock, signal, name, labels, timeoutMs } = request;
  const volume = await volumeOf(request);
  const action = (verb: string, body: object): Promise<SnapshotFacts> =>
    call(request, `volumes/${encodeURIComponent(volume)}?action=${verb}`, body);
  const deadlineMs = clock.now() + timeoutMs;
  let snapshot = await action('snapshotCRCreate', { name, labels });
  let said = '';
  while (snapshot.readyToUse !== true) {
    if (signal.aborted || clock.now() >= deadlineMs)
      throw new Error(
        `snapshot ${snapshot.name} of ${volume} was asked for, but is not ready to use after ${timeoutMs / 1000} s: ${said === '' ? '' : `${said}; `}see kubectl -n longhorn-system describe snapshots.longhorn.io ${snapshot.name}`,
      );
    await pause(clock, limits.pollMs, signal);
    snapshot = await action('snapshotCRGet', { name: snapshot.name });
    // While a detached volume is being attached, that is said as an error too: no error is the last word.
    said = snapshot.error ?? '';
  }
  return { volume, snapshot: snapshot.name };
}

/** `key=value` words as labels; throws on another form. */
export function parseLabels(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at <= 0) throw new Error(`label ${word} is not of the form key=value`);
      return [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}
