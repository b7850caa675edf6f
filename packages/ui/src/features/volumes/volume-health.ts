/** What is to be said about a volume: one word, how serious it is, and why. Pure. */
import type { Health } from '../../components/health.ts';
import { currentController, type Replica, type Volume } from '../../data/resources.ts';

/** One word for the state and the robustness together. */
export function volumeHealth(volume: Pick<Volume, 'state' | 'robustness' | 'controllers'>): Health {
  const { state, robustness } = volume;
  if (state === 'deleting') return { tone: 'busy', label: 'Deleting' };
  if (robustness === 'faulted') return { tone: 'bad', label: 'Faulted' };
  if (state === 'detached') return { tone: 'idle', label: 'Detached' };
  if (state !== 'attached') return { tone: 'busy', label: state === '' ? 'Starting' : capital(state) };
  const ioState = volume.controllers.find(({ running }) => running)?.ioState ?? '';
  if (ioState === 'held' || ioState === 'waiting') return { tone: 'bad', label: 'I/O waits' };
  if (ioState === 'failed') return { tone: 'bad', label: 'I/O failed' };
  if (robustness === 'healthy') return { tone: 'good', label: 'Healthy' };
  if (robustness === 'degraded') return { tone: 'warn', label: 'Degraded' };
  return { tone: 'busy', label: 'Attached' };
}

/** Why a volume is not healthy. */
export interface Reason {
  /** what it is about, such as `Replica vol-r-1`; '' when the text says it */
  about: string;
  text: string;
  /** what happens next, or what to do; '' when nothing is known */
  next: string;
  /** RFC 3339 or '' */
  since: string;
}

/** Conditions that tell of trouble, by the status that does. */
const TROUBLE: Readonly<Record<string, 'True' | 'False'>> = {
  Scheduled: 'False',
  TooManySnapshots: 'True',
  WaitForBackingImage: 'True',
  OfflineRebuilding: 'True',
};

/** All that is known, most important first. A condition that a blocker has said already is left out. */
export function volumeReasons(volume: Volume): Reason[] {
  const blockers = volume.blockedBy.map(({ kind, name, reason, next, since }): Reason => ({
    about: name === volume.name || name === '' ? '' : `${kind} ${name}`,
    text: reason,
    next,
    since,
  }));
  const controller = currentController(volume);
  const held: Reason[] =
    controller !== null && ['held', 'waiting', 'failed'].includes(controller.ioState) && controller.ioReason !== ''
      ? [{ about: `Engine ${controller.name}`, text: controller.ioReason, next: '', since: controller.ioSince }]
      : [];
  const conditions = Object.values(volume.conditions)
    .filter(({ type, status }) => TROUBLE[type] === status)
    .map(({ type, reason, message, lastTransitionTime }): Reason => ({
      about: type,
      text: message === '' ? reason || `${type} is ${TROUBLE[type]}` : message,
      next: '',
      since: lastTransitionTime,
    }));
  const seen = new Set<string>();
  return [...blockers, ...held, ...conditions].filter(({ text }) => !seen.has(text) && seen.add(text));
}

/** State of one replica. */
export function replicaHealth(replica: Replica, volume: Pick<Volume, 'rebuildStatus' | 'state'>): Health {
  const rebuild = volume.rebuildStatus.find((status) => status.replica === replica.name && status.isRebuilding);
  if (rebuild !== undefined) return { tone: 'busy', label: `Rebuilding ${rebuild.progress} %` };
  if (replica.failedAt !== '' || replica.mode === 'ERR') return { tone: 'bad', label: 'Failed' };
  if (replica.hostId === '') return { tone: 'warn', label: 'No place yet' };
  if (replica.mode === 'WO') return { tone: 'busy', label: 'Rebuilding' };
  if (replica.mode === 'RW') return { tone: 'good', label: 'Healthy' };
  if (replica.running) return { tone: 'busy', label: 'Starting' };
  return volume.state === 'detached' ? { tone: 'idle', label: 'Stopped' } : { tone: 'warn', label: 'Not running' };
}

/** Nodes with their replicas, by name; replicas without a place come last under ''. */
export function replicasByNode(replicas: readonly Replica[]): [string, Replica[]][] {
  const groups = new Map<string, Replica[]>();
  for (const replica of replicas) groups.set(replica.hostId, [...(groups.get(replica.hostId) ?? []), replica]);
  return [...groups].toSorted(([a], [b]) => (a === '' ? 1 : b === '' ? -1 : a.localeCompare(b)));
}

/** How many replicas there are and how they do: `2 of 3 healthy`; one that is detached has none that runs. */
export function replicaSummary(volume: Volume): string {
  const { replicas, numberOfReplicas, state } = volume;
  if (state !== 'detached') return `${healthyReplicaCount(volume)} of ${numberOfReplicas} healthy`;
  return `${replicas.filter(({ failedAt }) => failedAt === '').length} of ${numberOfReplicas} there`;
}

/** Replicas that hold all data. */
export function healthyReplicaCount(volume: Volume): number {
  return volume.replicas.filter((replica) => replicaHealth(replica, volume).tone === 'good').length;
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
