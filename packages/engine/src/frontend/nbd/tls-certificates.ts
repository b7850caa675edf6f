/**
 * Certificate, key and authority of the NBD frontend, from PEM files that may be replaced while the engine runs (a renewed
 * certificate, another authority): each connection uses what the files hold when it starts TLS. Files that cannot be used, as in the
 * middle of a replacement, leave those of before in use.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import type { Logger } from 'pino';

export interface NbdTlsFiles {
  /** PEM: the server's certificate, then those between it and its authority */
  readonly certificatePath: string;
  /** PEM, without a passphrase */
  readonly keyPath: string;
  /** PEM: authorities one of which must have signed a client's certificate; null: clients need none */
  readonly caPath: string | null;
}

/** Contents of the files, as `node:tls` takes them. */
export interface NbdTlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string | null;
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** Rejects with what is wrong, naming the file. */
export async function readNbdTlsFiles(files: NbdTlsFiles): Promise<NbdTlsMaterial> {
  const cert = await readText(files.certificatePath, 'certificate');
  const key = await readText(files.keyPath, 'key');
  const ca = files.caPath === null ? null : await readText(files.caPath, 'CA');
  const [own] = parseCertificates(cert, files.certificatePath, 'certificate');
  if (!own?.checkPrivateKey(parseKey(key, files.keyPath))) {
    throw new Error(`NBD TLS key ${files.keyPath} is not the key of the certificate ${files.certificatePath}`);
  }
  if (ca !== null && files.caPath !== null) parseCertificates(ca, files.caPath, 'CA');
  try {
    createSecureContext({ cert, key, ...(ca === null ? {} : { ca }) });
  } catch (error) {
    throw new Error(`NBD TLS certificate ${files.certificatePath} cannot be used: ${errorText(error)}`, {
      cause: error,
    });
  }
  return { cert, key, ca };
}

async function readText(path: string, role: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`NBD TLS ${role} ${path} cannot be read: ${errorText(error)}`, { cause: error });
  }
}

/** At least one; rejects also when a later one is broken. */
function parseCertificates(text: string, path: string, role: string): X509Certificate[] {
  const found = text.match(CERTIFICATES) ?? [];
  if (found.length === 0) throw new Error(`NBD TLS ${role} ${path} holds no PEM certificate`);
  try {
    return found.map((pem) => new X509Certificate(pem));
  } catch (error) {
    throw new Error(`NBD TLS ${role} ${path} holds a broken certificate: ${errorText(error)}`, { cause: error });
  }
}

function parseKey(text: string, path: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw new Error(`NBD TLS key ${path} holds no PEM key without a passphrase: ${errorText(error)}`, { cause: error });
  }
}

export class NbdTlsCertificates {
  private readonly files: NbdTlsFiles;
  private readonly logger: Logger;
  private material: NbdTlsMaterial;

  private constructor(files: NbdTlsFiles, logger: Logger, material: NbdTlsMaterial) {
    this.files = files;
    this.logger = logger;
    this.material = material;
  }

  /** Rejects when the files cannot be used. */
  static async open(files: NbdTlsFiles, logger: Logger): Promise<NbdTlsCertificates> {
    return new NbdTlsCertificates(files, logger, await readNbdTlsFiles(files));
  }

  /** What the files hold now, or held when they could last be used. */
  async current(): Promise<NbdTlsMaterial> {
    try {
      this.material = await readNbdTlsFiles(this.files);
    } catch (error) {
      this.logger.warn({ reason: errorText(error) }, 'NBD goes on with the TLS files as they were before');
    }
    return this.material;
  }
}
