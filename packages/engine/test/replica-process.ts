/** A whole replica in this process, on sockets, for tests; every port is a free one. */
import { join } from 'node:path';
import { ReplicaService, SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { freePorts } from '../testing/free-ports.ts';
import { startReplica, type RunReplicaOptions, type RunningReplica } from '../src/replica/run-replica.ts';

export interface StartedReplica extends RunningReplica {
  readonly control: ReturnType<typeof createClient<typeof ReplicaService extends { methods?: infer M } ? M : never>>;
  readonly agent: ReturnType<typeof createClient<typeof SyncAgentService extends { methods?: infer M } ? M : never>>;
  readonly path: string;
  end(): Promise<void>;
}

/** Of its gRPC server, with which data connection, sync agent and its file transfers follow. */
const PORTS = 10;

/** In the folder `path`. */
export async function startReplicaIn(
  path: string,
  sizeBytes: number | null,
  overrides: Partial<RunReplicaOptions> = {},
): Promise<StartedReplica> {
  const port = await freePorts(PORTS);
  const running = await startReplica({
    directory: path,
    listen: `127.0.0.1:${port}`,
    sizeBytes,
    volumeName: 'v',
    instanceName: `r-${port}`,
    backingFile: '',
    isSyncAgentOn: true,
    syncAgentPortCount: 7,
    isRevisionCounterDisabled: true,
    dataServerProtocol: 'tcp',
    isUnmapMarkingDiskChainRemoved: false,
    snapshotMaxCount: 250,
    snapshotMaxSizeBytes: 0,
    environment: { LONGHORN_RUN_DIR: join(path, '..', 'run'), LONGHORN_HOST_ROOT: join(path, '..', 'host') },
    log: () => undefined,
    ...overrides,
  });
  const control = createClient(ReplicaService, `127.0.0.1:${running.controlPort}`);
  const agent = createClient(SyncAgentService, `127.0.0.1:${running.syncAgentPort}`);
  const end = async (): Promise<void> => {
    control.close();
    agent.close();
    await running.stop();
    await running.server.close();
  };
  return { ...running, control, agent, path, end };
}
