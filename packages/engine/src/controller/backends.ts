/** How the control side reaches replicas: their gRPC service and their data connection. The simulator is the second implementation. */
import type { ServiceClient } from '@longhorn/shared-types/grpc/client';
import type { ReplicaServiceMethods, SyncAgentServiceMethods } from '@longhorn/shared-types/generated/ptypes';
import type { MemberLink } from './core/member-link.ts';
import type { ReplicaReport } from './replica-report.ts';

export type ReplicaClient = ServiceClient<ReplicaServiceMethods>;
export type SyncAgentClient = ServiceClient<SyncAgentServiceMethods>;

export interface Backends {
  /** A client of the replica service at an address; `instanceName` is checked by the replica when it is not "". */
  replica(address: string, instanceName: string): ReplicaClient;
  /** A client of the sync agent that belongs to the replica at an address. */
  syncAgent(address: string, instanceName: string): SyncAgentClient;
  /**
   * Opens the data connection; with an epoch above 0 it is announced by HELLO and the answer awaited. Rejects with the
   * replica's words when it refuses.
   */
  openLink(address: string, report: ReplicaReport, epoch: number): Promise<MemberLink>;
}

const FENCED = /is fenced by epoch (\d+)/;

/** The epoch that a refusal names, or null when the text is not one. */
export function fencingEpoch(text: string): number | null {
  const match = FENCED.exec(text);
  return match ? Number(match[1]) : null;
}
