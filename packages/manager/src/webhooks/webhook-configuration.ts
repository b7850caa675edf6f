/** The two webhook configurations: which requests the API server asks about, where, and whose certificate it trusts. */
import { API_GROUP, API_VERSION_NAME, CRD_KINDS, OBJECT_NAME, type CrdKind } from '@longhorn/shared-types';
import { covers } from '../datastore/covers.ts';
import { isNotFound, type KubeTransport, type RawObject, type Resource } from '../datastore/kube-transport.ts';
import type { Operation } from './admission.ts';
import { isJsonObject, peekObject, textAt, type JsonObject } from './json-object.ts';
import { trustedAuthorities, type TrustedAuthorities } from './trusted-authorities.ts';

export const WEBHOOK_PORT = 9502;

/**
 * A node without power stays behind the service for a while, and calls that go there wait this long; the manager's own writes
 * about that very node are among them. The API server's default (upstream's) is 10.
 */
const WEBHOOK_TIMEOUT_S = 5;

const BOTH: readonly Operation[] = ['CREATE', 'UPDATE'];
const ALL: readonly Operation[] = ['CREATE', 'UPDATE', 'DELETE'];

/** Until when authorities of before are trusted, RFC 3339. */
const PREVIOUS_CA_UNTIL = 'longhorn.io/previous-ca-trusted-until';

/** Operations that are mutated and validated; as upstream, and DELETE only where a rule speaks of it. */
const RULES: Record<CrdKind, { mutating: readonly Operation[]; validating: readonly Operation[] }> = {
  Volume: { mutating: BOTH, validating: BOTH },
  Engine: { mutating: BOTH, validating: BOTH },
  Replica: { mutating: BOTH, validating: ALL },
  Node: { mutating: BOTH, validating: ALL },
  InstanceManager: { mutating: BOTH, validating: BOTH },
  EngineImage: { mutating: BOTH, validating: ['DELETE'] },
  VolumeAttachment: { mutating: BOTH, validating: BOTH },
  Snapshot: { mutating: BOTH, validating: BOTH },
  Setting: { mutating: BOTH, validating: ALL },
  Orphan: { mutating: BOTH, validating: BOTH },
  Backup: { mutating: BOTH, validating: BOTH },
  BackupVolume: { mutating: BOTH, validating: BOTH },
  BackupTarget: { mutating: BOTH, validating: ALL },
  BackupBackingImage: { mutating: BOTH, validating: ['CREATE'] },
  BackingImage: { mutating: BOTH, validating: ['CREATE', 'DELETE'] },
  BackingImageDataSource: { mutating: BOTH, validating: [] },
  BackingImageManager: { mutating: BOTH, validating: [] },
  RecurringJob: { mutating: BOTH, validating: BOTH },
  ShareManager: { mutating: BOTH, validating: [] },
  SupportBundle: { mutating: BOTH, validating: ['CREATE'] },
  SystemBackup: { mutating: BOTH, validating: ['CREATE'] },
  SystemRestore: { mutating: [], validating: ['CREATE'] },
};

const MUTATING: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'mutatingwebhookconfigurations',
  kind: 'MutatingWebhookConfiguration',
  namespaced: false,
};
const VALIDATING: Resource = {
  ...MUTATING,
  plural: 'validatingwebhookconfigurations',
  kind: 'ValidatingWebhookConfiguration',
};

function webhook(type: 'mutating' | 'validating', namespace: string, caPem: string): JsonObject {
  const rules = Object.values(CRD_KINDS).flatMap(({ kind, plural }) => {
    const operations = RULES[kind][type];
    if (operations.length === 0) return [];
    return [
      { apiGroups: [API_GROUP], apiVersions: [API_VERSION_NAME], resources: [plural], scope: 'Namespaced', operations },
    ];
  });
  return {
    name: type === 'mutating' ? 'mutator.longhorn.io' : 'validator.longhorn.io',
    clientConfig: {
      service: {
        namespace,
        name: OBJECT_NAME.webhookService,
        path: type === 'mutating' ? '/v1/webhook/mutation' : '/v1/webhook/validation',
        port: WEBHOOK_PORT,
      },
      caBundle: Buffer.from(caPem).toString('base64'),
    },
    rules,
    failurePolicy: 'Fail',
    timeoutSeconds: WEBHOOK_TIMEOUT_S,
    matchPolicy: 'Exact',
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  };
}

function trustedNow(present: RawObject): TrustedAuthorities {
  const [first] = Array.isArray(present['webhooks']) ? present['webhooks'].filter(isJsonObject) : [];
  const bundle = textAt(peekObject(first ?? {}, 'clientConfig'), 'caBundle');
  return {
    pem: Buffer.from(bundle, 'base64').toString('utf8'),
    previousUntil: textAt(peekObject(present.metadata, 'annotations'), PREVIOUS_CA_UNTIL),
  };
}

interface ConfigurationKind {
  resource: Resource;
  type: 'mutating' | 'validating';
  name: string;
}

const CONFIGURATIONS: readonly ConfigurationKind[] = [
  { type: 'mutating', resource: MUTATING, name: OBJECT_NAME.mutatingWebhook },
  { type: 'validating', resource: VALIDATING, name: OBJECT_NAME.validatingWebhook },
];

/** Creates the two configurations, or brings them up to date; writes only what differs. */
export async function applyWebhookConfigurations(
  transport: KubeTransport,
  namespace: string,
  caPem: string,
  nowMs: number,
): Promise<void> {
  for (const { resource, type, name } of CONFIGURATIONS) {
    try {
      const present = await transport.get(resource, '', name);
      const before = trustedNow(present);
      const { pem, previousUntil } = trustedAuthorities(caPem, before, nowMs);
      const webhooks = [webhook(type, namespace, pem)];
      if (covers(present['webhooks'], webhooks) && previousUntil === before.previousUntil) continue;
      const annotations = { [PREVIOUS_CA_UNTIL]: previousUntil === '' ? null : previousUntil };
      await transport.patch(resource, '', name, { metadata: { annotations }, webhooks });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await transport.create(resource, '', {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: resource.kind,
        metadata: { name },
        webhooks: [webhook(type, namespace, caPem)],
      });
    }
  }
}
