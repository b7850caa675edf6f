/**
 * What people do to volumes while faults strike, or between them: snapshots, purges, replicas deleted, moves, reverts. A
 * call may fail because of a fault; it is made again until it is done, as people do. What it was to do must then be so.
 */
import type { Cluster } from '../cluster.ts';
import { at } from '../kube.ts';
import { attach, detach, replicasOf, waitHealthy } from '../volumes.ts';
import type { Damage } from './faults.ts';
import type { RoundPlan } from './schedule.ts';
import { connect, HEALTHY_MS, insist, isAnswered, loseDevice, mayLoseCache, verify, type Subject } from './subject.ts';

const SNAPSHOTS_KEPT = 3;

/** What goes on at the same time as the faults. Returns a word for the log; '' = nothing. */
export async function actDuringFaults(
  cluster: Cluster,
  plan: RoundPlan,
  round: number,
  subjects: Subject[],
  nodes: readonly string[],
  damage: Damage,
): Promise<string> {
  const subject = subjects[Math.floor(plan.subject * subjects.length)];
  if (subject === undefined) throw new RangeError('no volume to act on');
  switch (plan.activity) {
    case 'snapshot':
      return takeSnapshot(cluster, subject, round);
    case 'purge':
      return purgeOldest(cluster, subject);
    case 'delete-replica':
      // The only copy is not to be deleted: the webhook would refuse it.
      return deleteReplica(
        cluster,
        plan,
        subjects.filter(({ replicas }) => replicas > 1),
        damage,
      );
    case 'move':
      return move(cluster, subject, nodes[Math.floor(plan.target * nodes.length)] ?? subject.node, damage);
    case 'revert':
    case 'none':
      return '';
    default:
      return plan.activity satisfies never;
  }
}

async function takeSnapshot(cluster: Cluster, subject: Subject, round: number): Promise<string> {
  const { volume, workload, snapshots } = subject;
  const name = `${volume}-round-${round}`;
  if (snapshots.size >= SNAPSHOTS_KEPT) await purgeOldest(cluster, subject);
  const contents = workload.history.beginSnapshot();
  try {
    await insist(cluster, volume, `snapshot ${name}`, async () => {
      const listed = await cluster.rest.action<{ data: { name: string }[] }>(volume, 'snapshotList');
      if (listed.data.some((snapshot) => snapshot.name === name)) return;
      await cluster.rest.action(volume, 'snapshotCreate', { name, labels: {} });
    });
  } finally {
    workload.history.endSnapshot(contents);
  }
  snapshots.set(name, contents);
  return `snapshot of ${volume}`;
}

async function purgeOldest(cluster: Cluster, { volume, snapshots }: Subject): Promise<string> {
  const [oldest] = snapshots.keys();
  if (oldest === undefined) return '';
  snapshots.delete(oldest);
  await insist(cluster, volume, `removal of snapshot ${oldest}`, async () => {
    const listed = await cluster.rest.action<{ data: { name: string; removed: boolean }[] }>(volume, 'snapshotList');
    if (listed.data.some(({ name, removed }) => name === oldest && !removed))
      await cluster.rest.action(volume, 'snapshotDelete', { name: oldest });
    await cluster.rest.action(volume, 'snapshotPurge', {});
  });
  return `purge of ${volume}`;
}

/** Its data goes; another one is made in its place and rebuilt. */
async function deleteReplica(cluster: Cluster, plan: RoundPlan, able: Subject[], damage: Damage): Promise<string> {
  const volume = able[Math.floor(plan.subject * able.length)]?.volume ?? '';
  const replicas = (await replicasOf(cluster, volume)).sort((a, b) =>
    String(at(a, 'spec.nodeID')).localeCompare(String(at(b, 'spec.nodeID'))),
  );
  const victim = replicas[Math.floor(plan.target * replicas.length)];
  if (victim === undefined) return '';
  const node = String(at(victim, 'spec.nodeID'));
  damage.replicas.add(`${volume}@${node}`);
  try {
    await cluster.kube.delete('replicas', victim.metadata.name);
  } catch (error) {
    // Refused, as the volume has no other good one just now: the webhook's right.
    return `deletion of the replica of ${volume} on ${node} refused (${error instanceof Error ? error.message : String(error)})`;
  }
  return `deletion of the replica of ${volume} on ${node}`;
}

/** Detached in order and attached again, perhaps elsewhere: nothing that was acknowledged may be missing. */
async function move(cluster: Cluster, subject: Subject, target: string, damage: Damage): Promise<string> {
  const { workload, volume, node } = subject;
  subject.lostDevice = !(await isAnswered(cluster, subject));
  if (subject.lostDevice) loseDevice(workload);
  else workload.disconnect();
  await insist(cluster, volume, 'detachment', () => detach(cluster, volume));
  subject.node = target;
  await insist(cluster, volume, 'attachment', () => attach(cluster, volume, target));
  // Struck while nobody was connected.
  if (mayLoseCache(subject, damage)) workload.history.lostCache();
  await connect(cluster, subject);
  return `move of ${volume} from ${node} to ${target}`;
}

/** Between faults: back to a snapshot in maintenance mode, and all blocks as they were then. */
export async function revertToSnapshot(cluster: Cluster, plan: RoundPlan, subjects: Subject[]): Promise<string> {
  const able = subjects.filter(({ snapshots }) => snapshots.size > 0);
  const subject = able[Math.floor(plan.subject * able.length)];
  if (subject === undefined) return '';
  const { workload, volume, node, snapshots } = subject;
  const names = [...snapshots.keys()];
  const name = names[Math.floor(plan.target * names.length)] ?? '';
  const contents = snapshots.get(name);
  if (contents === undefined) throw new RangeError(`no snapshot ${name}`);
  workload.disconnect();
  await detach(cluster, volume);
  await insist(cluster, volume, 'attachment', () => attach(cluster, volume, node, true));
  await cluster.rest.action(volume, 'snapshotRevert', { name });
  await detach(cluster, volume);
  await insist(cluster, volume, 'attachment', () => attach(cluster, volume, node));
  workload.history.revertTo(contents);
  await waitHealthy(cluster, volume, HEALTHY_MS);
  await connect(cluster, subject);
  await workload.pause(60_000);
  await verify(cluster, subject);
  return `revert of ${volume} to ${name}`;
}
