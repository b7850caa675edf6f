/**
 * Snapshots as people see them: a tree from the oldest to the volume's present content. Snapshots that are being removed or
 * that the system made are left out on request; what hangs on them moves up.
 */
import type { Snapshot } from '../../data/resources.ts';

/** Name of the present content in the list of snapshots. */
export const HEAD = 'volume-head';

/** A row of the tree, parents first. */
export interface TreeRow {
  snapshot: Snapshot;
  /** 1 for the roots */
  level: number;
  isHead: boolean;
  /** on the way from a root to the head: what the volume now consists of */
  isLive: boolean;
}

function isHidden({ name, removed, usercreated }: Snapshot): boolean {
  return name !== HEAD && (removed || !usercreated);
}

/** The nearest ancestor that is shown; '' for a root. Broken chains and circles end. */
function shownParent(snapshot: Snapshot, byName: ReadonlyMap<string, Snapshot>, showsAll: boolean): string {
  const seen = new Set<string>([snapshot.name]);
  let parent = byName.get(snapshot.parent);
  while (parent !== undefined && !seen.has(parent.name)) {
    if (showsAll || !isHidden(parent)) return parent.name;
    seen.add(parent.name);
    parent = byName.get(parent.parent);
  }
  return '';
}

/** Names from the head to its root. */
function liveChain(byName: ReadonlyMap<string, Snapshot>): Set<string> {
  const chain = new Set<string>();
  let current = byName.get(HEAD);
  while (current !== undefined && !chain.has(current.name)) {
    chain.add(current.name);
    current = byName.get(current.parent);
  }
  return chain;
}

/** The tree, row by row. Children are in the order of their making, the one that leads to the head last. */
export function snapshotTree(snapshots: readonly Snapshot[], showsAll: boolean): TreeRow[] {
  const byName = new Map(snapshots.map((snapshot) => [snapshot.name, snapshot]));
  const live = liveChain(byName);
  const children = new Map<string, Snapshot[]>();
  for (const snapshot of snapshots) {
    if (!showsAll && isHidden(snapshot)) continue;
    const parent = shownParent(snapshot, byName, showsAll);
    children.set(parent, [...(children.get(parent) ?? []), snapshot]);
  }
  const order = (a: Snapshot, b: Snapshot): number =>
    Number(live.has(a.name)) - Number(live.has(b.name)) ||
    a.created.localeCompare(b.created) ||
    a.name.localeCompare(b.name);
  const rows: TreeRow[] = [];
  const pending = (children.get('') ?? [])
    .toSorted(order)
    .map((snapshot) => ({ snapshot, level: 1 }))
    .toReversed();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { snapshot, level } = next;
    rows.push({ snapshot, level, isHead: snapshot.name === HEAD, isLive: live.has(snapshot.name) });
    const below = (children.get(snapshot.name) ?? []).toSorted(order);
    // A chain without forks stays at one level, or a hundred snapshots would walk off the screen.
    const nextLevel = below.length > 1 ? level + 1 : level;
    for (const child of below.toReversed()) {
      const isMain = below.length > 1 && child === below.at(-1);
      pending.push({ snapshot: child, level: isMain ? level : nextLevel });
    }
  }
  return rows;
}
