/** The engine that a client command talks to. */
import { ClientCache } from '@longhorn/shared-types/grpc/client-cache';
import { dialAddress } from '@longhorn/shared-types/grpc/address';
import type { EngineFlow } from '../client/flow.ts';

/** Flags of the program itself. */
export interface GlobalFlags {
  readonly url: string;
  readonly volumeName: string;
  readonly engineInstanceName: string;
  readonly debug: boolean;
}

/** Runs `work` with connections that are closed afterwards. */
export async function withEngine<T>(flags: GlobalFlags, work: (flow: EngineFlow) => Promise<T>): Promise<T> {
  const connections = new ClientCache();
  try {
    return await work({
      connections,
      address: dialAddress(flags.url),
      volumeName: flags.volumeName,
      engineName: flags.engineInstanceName,
    });
  } finally {
    connections.close();
  }
}
