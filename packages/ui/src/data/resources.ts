/** The resources that the page shows, under short names. */
import type { RestContent, RestResource } from '@longhorn/shared-types/rest/rest-schemas';

export type Volume = RestResource<'volume'>;
export type Replica = RestContent<'replica'>;
export type Snapshot = RestResource<'snapshot'>;
export type Node = RestResource<'node'>;
export type Disk = RestContent<'diskInfo'>;

/** The newest engine that runs; the first when none does; null when there is none. */
export function currentController(volume: Volume): Volume['controllers'][number] | null {
  return volume.controllers.find(({ running }) => running) ?? volume.controllers[0] ?? null;
}

/** The node that a volume is attached or attaching to; '' when none. */
export function attachedNode(volume: Volume): string {
  return currentController(volume)?.hostId ?? '';
}

/** Bytes that the volume takes of its size, snapshots included. */
export function actualSizeBytes(volume: Volume): number {
  return Number(currentController(volume)?.actualSize ?? '0') || 0;
}
