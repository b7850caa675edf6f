/**
 * Identity metadata: a caller names the volume and the instance that it means to reach, and a server that is
 * another one refuses, so that a reused address never gets a stranger's commands.
 */
import { Metadata } from '@grpc/grpc-js';
import { Code, rpcError, type RpcError } from './rpc-error.ts';

export interface Identity {
  volumeName?: string;
  instanceName?: string;
  /** epoch of the calling engine; a replica that knows a higher one refuses changes */
  epoch?: number;
}

const EPOCH_KEY = 'epoch';
const VOLUME_KEY = 'volume-name';
const INSTANCE_KEY = 'instance-name';

/** Metadata that a client sends; empty names are left out. */
export function identityMetadata(identity: Identity | undefined): Metadata {
  const metadata = new Metadata();
  if (identity?.volumeName) metadata.set(VOLUME_KEY, identity.volumeName);
  if (identity?.instanceName) metadata.set(INSTANCE_KEY, identity.instanceName);
  if (identity?.epoch) metadata.set(EPOCH_KEY, String(identity.epoch));
  return metadata;
}

/** Who a server is; `role` is the word in its refusals. */
export interface ServerIdentity extends Identity {
  role: 'controller' | 'replica';
}

/** The refusal of a call that means somebody else, or null. A key that occurs several times is not checked. */
export function identityMismatch(metadata: Metadata, own: ServerIdentity): RpcError | null {
  const checks = [
    { key: VOLUME_KEY, word: 'volume', name: own.volumeName },
    { key: INSTANCE_KEY, word: 'instance', name: own.instanceName },
  ];
  for (const { key, word, name } of checks) {
    const incoming = metadata.get(key);
    const value = incoming.length === 1 ? String(incoming[0]) : '';
    if (value !== '' && name && value !== name) {
      return rpcError(Code.FailedPrecondition, `incorrect ${word} name ${value}; check ${own.role} address`);
    }
  }
  return null;
}
