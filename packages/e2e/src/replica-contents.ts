/** Checksums of what each replica of a volume in a cluster holds. */
import { contentsOf } from '@longhorn/engine/testing/replica-contents';
import { at } from './kube.ts';
import { engineOf, type System } from './volumes.ts';

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
