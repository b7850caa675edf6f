/** File names that a peer may name in a replica's folder: plain names of the replica's own files. */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { VOLUME_META } from '../replica/metadata.ts';
import { STATE_FILE } from '../replica/replica-state.ts';

/** Throws for a name that leaves the folder, or that only the replica itself may write. */
export function confinedName(field: string, name: string): string {
  const isPlain = name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name) && Buffer.byteLength(name) <= 255;
  if (!isPlain) throw rpcError(Code.InvalidArgument, `${field} ${JSON.stringify(name)}: must be a file name without /`);
  if (name === STATE_FILE || name === VOLUME_META || name.startsWith(`${STATE_FILE}.`)) {
    throw rpcError(Code.InvalidArgument, `${field} ${name}: is written by the replica only`);
  }
  return name;
}
