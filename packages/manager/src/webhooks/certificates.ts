/**
 * Certificates of the webhook server: a certificate authority of the installation, and the server's certificate that it
 * signs. Both are ECDSA P-256, X.509 version 3. Keys come from node:crypto; only the certificate's form is made here.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  X509Certificate,
  type KeyObject,
} from 'node:crypto';
import {
  derBits,
  derBoolean,
  derExplicit,
  derInteger,
  derObjectId,
  derOctets,
  derSequence,
  derSet,
  derTime,
  derUtf8,
  derValue,
} from './der.ts';

/** A certificate and its key, both PEM. */
export interface KeyPair {
  certificatePem: string;
  keyPem: string;
}

const DAY_MS = 86_400_000;
export const CA_VALID_MS = 3650 * DAY_MS;
export const SERVING_VALID_MS = 365 * DAY_MS;
/** A certificate is replaced when less than this is left. */
export const RENEW_BEFORE_MS = 90 * DAY_MS;
/** Clocks of other machines may be behind. */
const CLOCK_SKEW_MS = 3_600_000;

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  subjectAltName: '2.5.29.17',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
} as const;

interface Name {
  commonName: string;
  organization: string;
}

interface CertificateForm {
  serial: Buffer;
  subject: Name;
  issuer: Name;
  notBeforeMs: number;
  notAfterMs: number;
  publicKey: KeyObject;
  issuerKey: KeyObject;
  extensions: Buffer[];
}

function derName({ commonName, organization }: Name): Buffer {
  const part = (id: string, text: string): Buffer => derSet(derSequence(derObjectId(id), derUtf8(text)));
  return derSequence(part(OID.organization, organization), part(OID.commonName, commonName));
}

function extension(id: string, critical: boolean, content: Buffer): Buffer {
  return derSequence(derObjectId(id), ...(critical ? [derBoolean(true)] : []), derOctets(content));
}

function keyId(publicKey: KeyObject): Buffer {
  return createHash('sha1')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function makeCertificate(form: CertificateForm): string {
  const algorithm = derSequence(derObjectId(OID.ecdsaWithSha256));
  const body = derSequence(
    derExplicit(0, derInteger(Buffer.from([2]))),
    derInteger(form.serial),
    algorithm,
    derName(form.issuer),
    derSequence(derTime(form.notBeforeMs), derTime(form.notAfterMs)),
    derName(form.subject),
    form.publicKey.export({ type: 'spki', format: 'der' }),
    derExplicit(3, derSequence(...form.extensions)),
  );
  const signature = sign('sha256', body, form.issuerKey);
  return pem('CERTIFICATE', derSequence(body, algorithm, derBits(signature)));
}

function newKey(): { publicKey: KeyObject; privateKey: KeyObject; keyPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  return { publicKey, privateKey, keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

const ORGANIZATION = 'dynamiclistener-org';

function caCommonName(certificate: X509Certificate): Name {
  const [, commonName = ''] = /^CN=(.*)$/m.exec(certificate.subject) ?? [];
  const [, organization = ''] = /^O=(.*)$/m.exec(certificate.subject) ?? [];
  return { commonName, organization };
}

/** A new certificate authority, valid for ten years. `serial` is random bytes. */
export function makeCa(nowMs: number, serial: Buffer): KeyPair {
  const { publicKey, privateKey, keyPem } = newKey();
  const name = { commonName: `dynamiclistener-ca@${Math.floor(nowMs / 1000)}`, organization: ORGANIZATION };
  const certificatePem = makeCertificate({
    serial,
    subject: name,
    issuer: name,
    notBeforeMs: nowMs - CLOCK_SKEW_MS,
    notAfterMs: nowMs + CA_VALID_MS,
    publicKey,
    issuerKey: privateKey,
    extensions: [
      extension(OID.basicConstraints, true, derSequence(derBoolean(true))),
      // keyCertSign and digitalSignature.
      extension(OID.keyUsage, true, derBits(Buffer.from([0x84]), 2)),
      extension(OID.subjectKeyId, false, derOctets(keyId(publicKey))),
    ],
  });
  return { certificatePem, keyPem };
}

/** A certificate for a server of these DNS names, valid for a year; its PEM ends with the CA's. */
export function makeServingCertificate(
  ca: KeyPair,
  dnsNames: readonly string[],
  nowMs: number,
  serial: Buffer,
): KeyPair {
  const { publicKey, keyPem } = newKey();
  const caCertificate = new X509Certificate(ca.certificatePem);
  const altNames = dnsNames.map((name) => derValue(0x82, Buffer.from(name, 'ascii')));
  const certificatePem = makeCertificate({
    serial,
    subject: { commonName: 'dynamic', organization: 'dynamic' },
    issuer: caCommonName(caCertificate),
    notBeforeMs: nowMs - CLOCK_SKEW_MS,
    notAfterMs: Math.min(nowMs + SERVING_VALID_MS, Date.parse(caCertificate.validTo)),
    publicKey,
    issuerKey: createPrivateKey(ca.keyPem),
    extensions: [
      extension(OID.basicConstraints, true, derSequence()),
      // digitalSignature.
      extension(OID.keyUsage, true, derBits(Buffer.from([0x80]), 7)),
      extension(OID.extendedKeyUsage, false, derSequence(derObjectId(OID.serverAuth))),
      extension(OID.subjectAltName, false, derSequence(...altNames)),
      extension(OID.authorityKeyId, false, derSequence(derValue(0x80, keyId(createPublicKey(ca.certificatePem))))),
    ],
  });
  return { certificatePem: certificatePem + ca.certificatePem, keyPem };
}

/** Whether a pair can be read, its key fits, and it is valid for long enough yet. */
export function isUsable(pair: KeyPair, nowMs: number): boolean {
  try {
    const certificate = new X509Certificate(pair.certificatePem);
    if (!certificate.checkPrivateKey(createPrivateKey(pair.keyPem))) return false;
    return Date.parse(certificate.validFrom) <= nowMs && Date.parse(certificate.validTo) - nowMs > RENEW_BEFORE_MS;
  } catch {
    // Whatever cannot be read as a certificate is replaced by one that can.
    return false;
  }
}

/** Whether a serving certificate may stay: usable, signed by this CA and for all of these names. */
export function isServingUsable(pair: KeyPair, ca: KeyPair, dnsNames: readonly string[], nowMs: number): boolean {
  if (!isUsable(pair, nowMs)) return false;
  const certificate = new X509Certificate(pair.certificatePem);
  return (
    certificate.verify(createPublicKey(ca.certificatePem)) &&
    dnsNames.every((name) => certificate.checkHost(name) !== undefined)
  );
}
