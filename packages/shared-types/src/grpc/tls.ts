/**
 * Mutual TLS of the proxy and instance services: TLS 1.3, one certificate for both sides, and a fixed peer name.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type PeerCertificate } from 'node:tls';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import { Code, rpcError, type RpcError } from './rpc-error.ts';

/** Name that a peer's certificate must carry, in any namespace. */
export const TLS_PEER_NAME = 'longhorn-backend.longhorn-system';

export interface TlsMaterial {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/** Reads `ca.crt`, `tls.crt` and `tls.key`; throws when one is missing. */
export function readTlsMaterial(folder: string): TlsMaterial {
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  return { ca: read('ca.crt'), cert: read('tls.crt'), key: read('tls.key') };
}

/** Client side: presents our certificate, verifies the server's against the CA and `TLS_PEER_NAME`. */
export function tlsChannelCredentials({ ca, cert, key }: TlsMaterial): ChannelCredentials {
  return ChannelCredentials.createFromSecureContext(createSecureContext({ ca, cert, key, minVersion: 'TLSv1.3' }));
}

class Tls13ServerCredentials extends ServerCredentials {
  private readonly material: TlsMaterial;
  constructor(material: TlsMaterial) {
    const { ca, cert, key } = material;
    super({ requestCert: true, rejectUnauthorized: true, minVersion: 'TLSv1.3' }, { ca, cert, key });
    this.material = material;
  }
  override _equals(other: ServerCredentials): boolean {
    return other instanceof Tls13ServerCredentials && other.material === this.material;
  }
}

/** Server side: requires a client certificate signed by the CA. */
export function tlsServerCredentials(material: TlsMaterial): ServerCredentials {
  return new Tls13ServerCredentials(material);
}

/** The refusal of a client whose certificate does not carry `TLS_PEER_NAME`, or null. */
export function peerNameMismatch(certificate: PeerCertificate): RpcError | null {
  const names = (certificate.subjectaltname ?? '').split(', ').filter((name) => name.startsWith('DNS:'));
  const commonName = certificate.subject.CN;
  if (names.includes(`DNS:${TLS_PEER_NAME}`) || commonName === TLS_PEER_NAME) return null;
  return rpcError(Code.Unauthenticated, `certificate is not signed for "${TLS_PEER_NAME}" hostname`);
}
