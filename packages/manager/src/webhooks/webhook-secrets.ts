/**
 * The certificates in their two secrets, shared by all managers: whoever comes first makes them, the others take them.
 * A CA is replaced only when it cannot be used any more, because every manager and both configurations follow it.
 */
import { OBJECT_NAME } from '@longhorn/shared-types';
import {
  isAlreadyExists,
  isConflict,
  isNotFound,
  type KubeTransport,
  type RawObject,
  type Resource,
} from '../datastore/kube-transport.ts';
import { isServingUsable, isUsable, makeCa, makeServingCertificate, type KeyPair } from './certificates.ts';
import { peekObject, textAt } from './json-object.ts';
import { webhookLimits } from './webhook-limits.ts';

const SECRETS: Resource = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
const SERIAL_BYTES = 8;

/** What making certificates needs from outside. */
export interface CertificateSource {
  transport: KubeTransport;
  namespace: string;
  nowMs: () => number;
  randomBytes: (count: number) => Buffer;
}

/** The certificates to serve with. */
export interface WebhookCertificates {
  ca: KeyPair;
  serving: KeyPair;
}

/** Name under which the API server connects. */
export function webhookHost(namespace: string): string {
  return `${OBJECT_NAME.webhookService}.${namespace}.svc`;
}

function pairOf(secret: RawObject): KeyPair {
  const data = peekObject(secret, 'data');
  const text = (key: string): string => Buffer.from(textAt(data, key), 'base64').toString('utf8');
  return { certificatePem: text('tls.crt'), keyPem: text('tls.key') };
}

function secretOf(name: string, namespace: string, pair: KeyPair): RawObject {
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': encode(pair.certificatePem), 'tls.key': encode(pair.keyPem) },
  };
}

/** The pair in a secret if it is good, else a new one that is stored there; another manager's write wins over ours. */
async function sharedPair(
  source: CertificateSource,
  name: string,
  isGood: (pair: KeyPair) => boolean,
  make: () => KeyPair,
): Promise<KeyPair> {
  const { transport, namespace } = source;
  for (let attempt = 1; attempt <= webhookLimits.secretTriesMax; attempt += 1) {
    try {
      const present = await transport.get(SECRETS, namespace, name);
      const pair = pairOf(present);
      if (isGood(pair)) return pair;
      const made = make();
      await transport.replace(
        SECRETS,
        namespace,
        { ...present, ...secretOf(name, namespace, made), metadata: present.metadata },
        '',
      );
      return made;
    } catch (error) {
      if (isConflict(error)) continue;
      if (!isNotFound(error)) throw error;
    }
    try {
      const made = make();
      await transport.create(SECRETS, namespace, secretOf(name, namespace, made));
      return made;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
  throw new Error(`secret ${namespace}/${name} is changed by others all the time`);
}

/** The certificates of this installation; made or renewed when needed. */
export async function webhookCertificates(source: CertificateSource): Promise<WebhookCertificates> {
  const nowMs = source.nowMs();
  const serial = (): Buffer => source.randomBytes(SERIAL_BYTES);
  const ca = await sharedPair(
    source,
    OBJECT_NAME.webhookCaSecret,
    (pair) => isUsable(pair, nowMs),
    () => makeCa(nowMs, serial()),
  );
  const names = [webhookHost(source.namespace), 'localhost'];
  const serving = await sharedPair(
    source,
    OBJECT_NAME.webhookTlsSecret,
    (pair) => isServingUsable(pair, ca, names, nowMs),
    () => makeServingCertificate(ca, names, nowMs, serial()),
  );
  return { ca, serving };
}
