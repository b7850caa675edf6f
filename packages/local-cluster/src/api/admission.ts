/** The place of admission in a write. Implemented by webhooks (webhook-admission.ts). */
import type { KubeObject } from './object.ts';
import type { WriteOptions } from './preparation.ts';
import type { ResourceType } from './resource-type.ts';

export interface AdmissionCall {
  type: ResourceType;
  operation: 'CREATE' | 'UPDATE' | 'DELETE';
  subresource: '' | 'status';
  /** `null` when it is deleted */
  object: KubeObject | null;
  /** `null` when it is created */
  previous: KubeObject | null;
  options: WriteOptions;
}

export interface Admission {
  /** The object, changed by mutating webhooks; the same value when nothing changed. */
  mutate(call: AdmissionCall & { object: KubeObject }): Promise<KubeObject>;
  /** Throws the refusal of the first validating webhook that refuses. */
  validate(call: AdmissionCall): Promise<void>;
}
