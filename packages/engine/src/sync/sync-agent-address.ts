/** Where the sync agent of a replica is asked, and for how long. */
import { joinHostPort, splitHostPort } from '@longhorn/shared-types/grpc/address';

/** Upstream's port layout: the sync agent listens two above the replica. */
export const SYNC_AGENT_PORT_OFFSET = 2;
/** A call that lasts as long as a copy. */
export const LONG_CALL_MS = 24 * 3600 * 1000;

export function syncAgentAddress(replicaAddress: string): string {
  const { host, port } = splitHostPort(replicaAddress);
  return joinHostPort(host, port + SYNC_AGENT_PORT_OFFSET);
}
