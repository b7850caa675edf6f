/**
 * A sync agent that notes what it is asked, in place of the one of a replica that was started with `--sync-agent=false`. Copies
 * end here only when the test or their caller gives up: what goes on meanwhile can be seen.
 */
import { once } from 'node:events';
import { SyncAgentService } from '@longhorn/shared-types/generated/ptypes';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { createServer, type CallContext, type RpcServer } from '@longhorn/shared-types/grpc/server';

export class RecordingAgent {
  /** RPC and request, in order */
  readonly requests: { readonly rpc: string; readonly request: object }[] = [];
  isPurging = false;
  private readonly server: RpcServer;
  private readonly begun = Promise.withResolvers<void>();
  private readonly broken = new AbortController();

  private constructor() {
    this.server = createServer({});
    const copy = async (rpc: string, request: object, { signal }: CallContext): Promise<object> => {
      this.note(rpc, request);
      this.begun.resolve();
      const ended = AbortSignal.any([signal, this.broken.signal]);
      if (!ended.aborted) await once(ended, 'abort');
      throw rpcError(Code.Aborted, 'the copy broke off');
    };
    this.server.add(SyncAgentService, {
      FilesSync: (request, context) => copy('FilesSync', request, context),
      SnapshotClone: (request, context) => copy('SnapshotClone', request, context),
      SnapshotPurge: (request) => this.note('SnapshotPurge', request),
      SnapshotPurgeStatus: () => ({ is_purging: this.isPurging, progress: 40, state: 'in_progress' }),
      RestoreStatus: () => ({}),
      ReplicaRebuildStatus: () => ({
        is_rebuilding: true,
        progress: 42,
        state: 'in_progress',
        from_replica_address: 'tcp://10.42.1.5:10000',
        bytes_done: 43,
        bytes_total: 100,
        bytes_written: 41,
        paused: true,
        bytes_per_second_max: 1 << 20,
      }),
      ReplicaRebuildPause: (request) => this.note('ReplicaRebuildPause', request),
      ReplicaRebuildLimit: (request) => this.note('ReplicaRebuildLimit', request),
    });
  }

  /** Serves the sync agent's port of the replica whose gRPC port is `replicaPort`. */
  static async beside(replicaPort: number): Promise<RecordingAgent> {
    const agent = new RecordingAgent();
    await agent.server.listen({ host: '127.0.0.1', port: replicaPort + 2 });
    return agent;
  }

  private note(rpc: string, request: object): object {
    this.requests.push({ rpc, request });
    return {};
  }

  /** Resolves when a copy was asked for. */
  copying(): Promise<void> {
    return this.begun.promise;
  }

  /** Ends the copies that run. */
  breakOff(): void {
    this.broken.abort();
  }

  close(): Promise<void> {
    return this.server.close(0);
  }
}
