/** Annotations and finalizers of ours on objects of ours, beyond upstream's. */
export const OWN_ANNOTATION = {
  /** On an Engine: the node where its last process could not be seen to stop. */
  unconfirmedStop: 'longhorn.io/engine-stop-unconfirmed-on',
  /** On a Replica that is being deleted: the last holder of the newest data may go too. */
  forceDelete: 'longhorn.io/force-delete-last-replica',
  /**
   * On a detached Volume: names of replicas, separated by commas. The next start uses exactly these, even if others hold
   * newer data. Taken off once it is decided.
   */
  forceStartFrom: 'longhorn.io/force-start-from-replicas',
  /** On an Engine: the last such wish that was carried out, `NAMES@EPOCH`: a wish whose removal failed is not carried out twice. */
  forcedStart: 'longhorn.io/forced-start-from-replicas',
  /** On an attached Volume: the block device that it is served by (volume/device.ts). */
  device: 'longhorn.io/device',
  /** On an Orphan: data of a replica that was deleted on purpose while its node was away. */
  deletedReplica: 'longhorn.io/deleted-replica',
} as const;
