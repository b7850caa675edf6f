/** Checksums of what each replica of a volume holds, asked of the replicas themselves. */
import { createHash } from 'node:crypto';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { ReplicaService } from '@longhorn/shared-types/generated/ptypes';
import { at } from './kube.ts';
import { engineOf, type System } from './volumes.ts';

const WINDOW_BYTES = 64 << 20;
const BLOCK_BYTES = 65536;

/** Replica name -> SHA-256 over the hashes of its merged contents. The volume must be quiet. */
export async function mergedChecksums(system: System, volume: string): Promise<Map<string, string>> {
  const engine = await engineOf(system, volume);
  const size = Number(at(engine, 'spec.volumeSize'));
  const modes = Object.keys((at(engine, 'status.replicaModeMap') as object | undefined) ?? {});
  const addresses = (at(engine, 'status.currentReplicaAddressMap') as Record<string, string> | undefined) ?? {};
  const sums = await Promise.all(
    modes.map(async (name): Promise<[string, string]> => {
      const address = addresses[name];
      if (address === undefined) throw new Error(`replica ${name} of ${volume} has no address`);
      return [name, await contentsOf(address, volume, size)];
    }),
  );
  return new Map(sums);
}

/** SHA-256 over the hashes of what a replica shows. */
export async function contentsOf(address: string, volume: string, size: number): Promise<string> {
  const client = createClient(ReplicaService, address, { identity: { volumeName: volume } });
  const hash = createHash('sha256');
  try {
    for (let offset = 0; offset < size; offset += WINDOW_BYTES) {
      const length = Math.min(WINDOW_BYTES, size - offset);
      hash.update((await client.RangeHash({ offset, length, blockSize: BLOCK_BYTES })).hashes);
    }
  } finally {
    client.close();
  }
  return hash.digest('hex');
}
