/**
 * Mutual TLS of the proxy and instance services: TLS 1.3, one certificate for both sides, and a fixed peer name. Replaced files
 * count for the connections made afterwards, on both sides, without a restart.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, type PeerCertificate, type SecureContextOptions } from 'node:tls';
import { ServerCredentials, experimental, type ChannelCredentials } from '@grpc/grpc-js';
import { TLS_RELOAD_MS } from './limits.ts';
import { Code, errorText, rpcError, type RpcError } from './rpc-error.ts';

/** Name that a peer's certificate must carry, in any namespace. */
export const TLS_PEER_NAME = 'longhorn-backend.longhorn-system';

export interface TlsMaterial {
  ca: Buffer;
  cert: Buffer;
  key: Buffer;
}

/** Reads `ca.crt`, `tls.crt` and `tls.key`; throws when one is missing or they cannot be used together. */
export function readTlsMaterial(folder: string): TlsMaterial {
  const material = readFiles(folder);
  checkMaterial(material, folder);
  return material;
}

function readFiles(folder: string): TlsMaterial {
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  return { ca: read('ca.crt'), cert: read('tls.crt'), key: read('tls.key') };
}

function checkMaterial(material: TlsMaterial, folder: string): void {
  try {
    if (!new X509Certificate(material.cert).checkPrivateKey(createPrivateKey(material.key)))
      throw new Error('tls.key is not the key of tls.crt');
    createSecureContext(material);
  } catch (error) {
    throw new Error(`TLS files in ${folder} cannot be used: ${errorText(error)}`, { cause: error });
  }
}

type CaListener = experimental.CaCertificateUpdateListener;
type IdentityListener = experimental.IdentityCertificateUpdateListener;

/** A folder with TLS material as it is now; material that cannot be used leaves that of before in use. */
export class TlsFiles implements experimental.CertificateProvider {
  private readonly folder: string;
  private readonly warn: (text: string) => void;
  /** by what they were added as */
  private readonly listeners = new Map<unknown, (material: TlsMaterial) => void>();
  private lastProblem = '';
  private latest: TlsMaterial;

  /** Throws when the files are missing or cannot be used; `warn` is told of later problems, once each. */
  constructor(folder: string, warn: (text: string) => void) {
    this.folder = folder;
    this.warn = warn;
    this.latest = readTlsMaterial(folder);
  }

  get material(): TlsMaterial {
    return this.latest;
  }

  /** Looks at the files every `TLS_RELOAD_MS`, without keeping the process alive. */
  watch(): this {
    setInterval(() => this.reload(), TLS_RELOAD_MS).unref();
    return this;
  }

  /** Takes the files as they are now. */
  reload(): void {
    const { ca, cert, key } = this.latest;
    let next: TlsMaterial;
    let isSame: boolean;
    try {
      next = readFiles(this.folder);
      isSame = next.ca.equals(ca) && next.cert.equals(cert) && next.key.equals(key);
      if (!isSame) checkMaterial(next, this.folder);
    } catch (error) {
      const problem = errorText(error);
      if (problem !== this.lastProblem) this.warn(`TLS goes on with the files as they were: ${problem}`);
      this.lastProblem = problem;
      return;
    }
    this.lastProblem = '';
    if (isSame) return;
    this.latest = next;
    for (const listener of this.listeners.values()) listener(next);
  }

  /** Calls `listener` at each change from now on. */
  subscribe(listener: (material: TlsMaterial) => void): void {
    this.listeners.set(listener, listener);
  }

  unsubscribe(listener: unknown): void {
    this.listeners.delete(listener);
  }

  addCaCertificateListener(listener: CaListener): void {
    const tell = ({ ca }: TlsMaterial): void => listener({ caCertificate: ca });
    this.listeners.set(listener, tell);
    tell(this.latest);
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.unsubscribe(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    const tell = ({ cert, key }: TlsMaterial): void => listener({ certificate: cert, privateKey: key });
    this.listeners.set(listener, tell);
    tell(this.latest);
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.unsubscribe(listener);
  }
}

/** Client side: presents our certificate, verifies the server's against the CA and `TLS_PEER_NAME`. */
export function tlsChannelCredentials(files: TlsFiles): ChannelCredentials {
  return experimental.createCertificateProviderChannelCredentials(files, files);
}

class Tls13ServerCredentials extends ServerCredentials {
  private readonly files: TlsFiles;
  private readonly told = (material: TlsMaterial): void => this.updateSecureContextOptions(contextOptions(material));
  constructor(files: TlsFiles) {
    super({ requestCert: true, rejectUnauthorized: true }, contextOptions(files.material));
    this.files = files;
  }
  override _addWatcher(watcher: Parameters<ServerCredentials['_addWatcher']>[0]): void {
    if (this.getWatcherCount() === 0) this.files.subscribe(this.told);
    super._addWatcher(watcher);
  }
  override _removeWatcher(watcher: Parameters<ServerCredentials['_removeWatcher']>[0]): void {
    super._removeWatcher(watcher);
    if (this.getWatcherCount() === 0) this.files.unsubscribe(this.told);
  }
  override _equals(other: ServerCredentials): boolean {
    return other instanceof Tls13ServerCredentials && other.files === this.files;
  }
}

function contextOptions({ ca, cert, key }: TlsMaterial): SecureContextOptions {
  return { ca, cert, key, minVersion: 'TLSv1.3' };
}

/** Server side: requires a client certificate signed by the CA. */
export function tlsServerCredentials(files: TlsFiles): ServerCredentials {
  return new Tls13ServerCredentials(files);
}

/** The refusal of a client whose certificate does not carry `TLS_PEER_NAME`, or null. */
export function peerNameMismatch(certificate: PeerCertificate): RpcError | null {
  const names = (certificate.subjectaltname ?? '').split(', ').filter((name) => name.startsWith('DNS:'));
  const commonName = certificate.subject.CN;
  if (names.includes(`DNS:${TLS_PEER_NAME}`) || commonName === TLS_PEER_NAME) return null;
  return rpcError(Code.Unauthenticated, `certificate is not signed for "${TLS_PEER_NAME}" hostname`);
}
