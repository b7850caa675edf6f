/**
 * The envelope that all custom resources share. Values of these types are complete: every field is there. Objects read
 * from the API server become complete by `completeObject`; what is written may be partial (`DeepPartial`).
 */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Kubernetes' object metadata, as far as the system uses it; unknown fields pass through untouched. */
export interface ObjectMeta {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  creationTimestamp: string | null;
  deletionTimestamp: string | null;
  labels: Record<string, string>;
  annotations: Record<string, string>;
  finalizers: string[];
  ownerReferences: OwnerReference[];
}

/** Any object with a spec and a status. */
export interface KubernetesObject<Spec, Status, Kind extends string = string> {
  apiVersion: string;
  kind: Kind;
  metadata: ObjectMeta;
  spec: Spec;
  status: Status;
}

/** An object as a client may send it: any part may be missing. Lists are taken as a whole. */
export type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: DeepPartial<T[K]> }
    : T;
