/** A checksum of what a replica holds, asked of the replica itself. */
import { createHash } from 'node:crypto';
import { createClient } from '@longhorn/shared-types/grpc/client';
import { ReplicaService } from '@longhorn/shared-types/generated/ptypes';

const WINDOW_BYTES = 64 << 20;
const BLOCK_BYTES = 65536;

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
