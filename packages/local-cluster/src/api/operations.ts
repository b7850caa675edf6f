/**
 * Create, update and delete with the rules that Kubernetes clients rely on: optimistic locking, generations,
 * status apart from spec, finalizers, graceful deletion. The path of every write, also of this package's own controllers.
 *
 * Admission webhooks are asked without holding anything; the store's version check decides afterwards whether what
 * they saw is still true. A write that changes nothing is not stored.
 */
import { patchAttemptsMax, podGraceSeconds } from '../limits.ts';
import type { Admission } from './admission.ts';
import { STORAGE } from './builtin-kinds.ts';
import { established } from './definition.ts';
import { timestamp, type Environment } from './environment.ts';
import { equal, objectAt, valueAt, type JsonObject } from './json.ts';
import { hasGeneration, initialStatus } from './built-in-defaults.ts';
import { trackUpdate } from './managed-fields.ts';
import { namespaceOf, objectFrom, type KubeObject, type Metadata } from './object.ts';
import { check, internalWrite, shape, subjectOf, type WriteOptions } from './preparation.ts';
import type { ResourceType } from './resource-type.ts';
import {
  alreadyExists,
  ApiError,
  badRequest,
  causes,
  conflict,
  forbidden,
  invalid,
  modifiedMeanwhile,
  notFound,
} from './status-error.ts';
import type { Store } from './store.ts';

export interface DeleteOptions {
  gracePeriodSeconds: number | null;
  propagation: 'Background' | 'Foreground' | 'Orphan';
  uid: string | null;
  resourceVersion: string | null;
  dryRun: boolean;
  /** receives texts for the `Warning` header */
  warn: (text: string) => void;
}

export const plainDelete: DeleteOptions = {
  gracePeriodSeconds: null,
  propagation: 'Background',
  uid: null,
  resourceVersion: null,
  dryRun: false,
  warn: () => undefined,
};

export interface DeleteResult {
  object: KubeObject;
  /** false: it waits for finalizers or its grace period */
  gone: boolean;
}

/** What a change makes of the present object. It may be called again when somebody else was faster. */
export type Change = (current: KubeObject) => KubeObject;

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

export class Operations {
  readonly store: Store;
  readonly environment: Environment;
  readonly #admission: Admission | null;

  constructor(store: Store, environment: Environment, admission: Admission | null) {
    this.store = store;
    this.environment = environment;
    this.#admission = admission;
  }

  get(type: ResourceType, namespace: string, name: string): KubeObject {
    const object = this.store.get(type.storage, namespace, name);
    if (object === null) throw notFound(subjectOf(type, name));
    return object;
  }

  #requireNamespace(type: ResourceType, object: KubeObject): void {
    if (!type.namespaced) return;
    const name = namespaceOf(object);
    const namespace = this.store.get(STORAGE.namespaces, '', name);
    if (namespace === null) throw notFound({ group: '', kind: 'namespaces', name });
    if (namespace.metadata.deletionTimestamp !== undefined)
      throw new ApiError(
        403,
        'Forbidden',
        `${type.plural} "${object.metadata.name}" is forbidden: unable to create new content in namespace ${name} because it is being terminated`,
        {
          name: object.metadata.name,
          kind: type.plural,
          causes: [
            {
              reason: 'NamespaceTerminating',
              message: `namespace ${name} is being terminated`,
              field: 'metadata.namespace',
            },
          ],
        },
      );
  }

  #newMetadata(type: ResourceType, given: Metadata): Metadata {
    const { deletionTimestamp: _d, deletionGracePeriodSeconds: _g, managedFields: _m, selfLink: _s, ...kept } = given;
    const generated = kept.name === '' && kept.generateName !== undefined;
    if (kept.name === '' && !generated)
      throw invalid({ group: type.group, kind: type.kind, name: '' }, [
        causes.required('metadata.name', 'name or generateName is required'),
      ]);
    return {
      ...kept,
      name: generated ? `${(kept.generateName ?? '').slice(0, 58)}${this.environment.suffix(5)}` : kept.name,
      uid: this.environment.uuid(),
      resourceVersion: '',
      creationTimestamp: timestamp(this.environment.now()),
      ...(hasGeneration(type) ? { generation: 1 } : {}),
    };
  }

  /** Stores a new object. */
  async create(type: ResourceType, given: KubeObject, options: WriteOptions = internalWrite): Promise<KubeObject> {
    if (given.metadata.resourceVersion !== '')
      throw badRequest('resourceVersion should not be set on objects to be created');
    const { status: _, ...body } = given;
    const withoutStatus = type.status ? objectFrom(body) : given;
    const first = initialStatus(type);
    let object: KubeObject = {
      ...withoutStatus,
      metadata: { ...this.#newMetadata(type, given.metadata), ...recorded(options) },
      ...(first === null ? {} : { status: first }),
    };
    this.#requireNamespace(type, object);
    object = shape(type, object, options);
    const request = { type, operation: 'CREATE' as const, subresource: '' as const, previous: null, options };
    if (this.#admission !== null) {
      const mutated = await this.#admission.mutate({ ...request, object });
      if (mutated !== object) object = shape(type, keepIdentity(mutated, object), options);
    }
    check(type, object, null, options);
    if (type.storage === STORAGE.definitions) object = established(object, timestamp(this.environment.now()));
    await this.#admission?.validate({ ...request, object });
    if (options.dryRun) {
      if (this.store.get(type.storage, namespaceOf(object), object.metadata.name) !== null)
        throw alreadyExists(subjectOf(type, object.metadata.name));
      return object;
    }
    this.#requireNamespace(type, object);
    const outcome = this.store.create(type.storage, object);
    if (outcome.result !== 'written') throw alreadyExists(subjectOf(type, object.metadata.name));
    return outcome.object;
  }

  /** Changes an object, or its status with `subresource` "status"; again when somebody else was faster. */
  async update(
    type: ResourceType,
    namespace: string,
    name: string,
    subresource: '' | 'status',
    change: Change,
    options: WriteOptions = internalWrite,
  ): Promise<KubeObject> {
    for (let attempt = 1; ; attempt++) {
      const current = this.get(type, namespace, name);
      const wanted = { ...change(current), apiVersion: type.storedApiVersion };
      this.#refuseIdentityChange(type, current, wanted);
      const stale =
        wanted.metadata.resourceVersion !== '' && wanted.metadata.resourceVersion !== current.metadata.resourceVersion;
      if (stale) throw modifiedMeanwhile(subjectOf(type, name));
      const written = await this.#updateOnce(type, current, wanted, subresource, options);
      if (written !== null) return written;
      if (attempt >= patchAttemptsMax) throw modifiedMeanwhile(subjectOf(type, name));
    }
  }

  /** One attempt; `null`: somebody else wrote in between. */
  async #updateOnce(
    type: ResourceType,
    current: KubeObject,
    wanted: KubeObject,
    subresource: '' | 'status',
    options: WriteOptions,
  ): Promise<KubeObject | null> {
    let object = merged(type, current, shape(type, wanted, options), subresource);
    const request = { type, operation: 'UPDATE' as const, subresource, previous: current, options };
    if (this.#admission !== null) {
      const mutated = await this.#admission.mutate({ ...request, object });
      if (mutated !== object) object = merged(type, current, shape(type, mutated, options), subresource);
    }
    check(type, object, current, options);
    if (type.storage === STORAGE.definitions && subresource === '')
      object = established(object, timestamp(this.environment.now()));
    await this.#admission?.validate({ ...request, object });
    if (options.managed !== null) object = { ...object, metadata: { ...object.metadata, ...recorded(options) } };
    if (equal(object, current)) return current;
    if (options.managed === null)
      object = {
        ...object,
        metadata: trackUpdate(type, current, object, subresource, options.fieldManager, this.environment),
      };
    if (options.dryRun) return object;
    const ended = object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).length === 0;
    const waits = ended && type.storage === STORAGE.pods && (object.metadata.deletionGracePeriodSeconds ?? 0) > 0;
    const seen = current.metadata.resourceVersion;
    const outcome =
      ended && !waits ? this.store.remove(type.storage, object, seen) : this.store.update(type.storage, object, seen);
    return outcome.result === 'written' ? outcome.object : null;
  }

  #refuseIdentityChange(type: ResourceType, current: KubeObject, wanted: KubeObject): void {
    const { uid, name, finalizers } = wanted.metadata;
    if (uid !== '' && uid !== current.metadata.uid)
      throw conflict(
        subjectOf(type, current.metadata.name),
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
      );
    if (name !== '' && name !== current.metadata.name)
      throw badRequest(
        `the name of the object (${name}) does not match the name on the URL (${current.metadata.name})`,
      );
    const added = (finalizers ?? []).filter((entry) => !(current.metadata.finalizers ?? []).includes(entry));
    if (current.metadata.deletionTimestamp !== undefined && added.length > 0)
      throw invalid({ group: type.group, kind: type.kind, name: current.metadata.name }, [
        causes.forbidden(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((entry) => JSON.stringify(entry)).join(', ')}}`,
        ),
      ]);
  }

  /** Deletes an object, at once or by marking it when finalizers or a grace period ask for it. */
  async remove(
    type: ResourceType,
    namespace: string,
    name: string,
    options: DeleteOptions = plainDelete,
  ): Promise<DeleteResult> {
    for (let attempt = 1; ; attempt++) {
      const current = this.get(type, namespace, name);
      const subject = { ...subjectOf(type, name), kind: type.kind };
      if (options.uid !== null && options.uid !== current.metadata.uid)
        throw conflict(
          subject,
          `the UID in the precondition (${options.uid}) does not match the UID in record (${current.metadata.uid}). The object might have been deleted and then recreated`,
        );
      if (options.resourceVersion !== null && options.resourceVersion !== current.metadata.resourceVersion)
        throw conflict(
          subject,
          `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${current.metadata.resourceVersion}). The object might have been modified`,
        );
      this.#refuseProtected(type, name);
      await this.#admission?.validate({
        type,
        operation: 'DELETE',
        subresource: '',
        object: null,
        previous: current,
        options: { ...internalWrite, dryRun: options.dryRun, warn: options.warn },
      });
      const marked = this.#marked(type, current, options);
      if (options.dryRun) return { object: marked ?? current, gone: marked === null };
      if (marked !== null && equal(marked, current)) return { object: current, gone: false };
      const seen = current.metadata.resourceVersion;
      const outcome =
        marked === null
          ? this.store.remove(type.storage, current, seen)
          : this.store.update(type.storage, marked, seen);
      if (outcome.result === 'written') return { object: outcome.object, gone: marked === null };
      if (attempt >= patchAttemptsMax) throw modifiedMeanwhile(subjectOf(type, name));
    }
  }

  #refuseProtected(type: ResourceType, name: string): void {
    if (type.storage === STORAGE.namespaces && ['default', 'kube-system'].includes(name))
      throw forbidden(subjectOf(type, name), 'this namespace may not be deleted');
  }

  /** The object marked for deletion; `null`: it can go at once. */
  #marked(type: ResourceType, current: KubeObject, options: DeleteOptions): KubeObject | null {
    const { metadata } = current;
    const finalizers = new Set(metadata.finalizers ?? []);
    if (options.propagation === 'Foreground') finalizers.add(FOREGROUND);
    else if (options.propagation === 'Orphan') finalizers.add(ORPHAN);
    const contents = type.storage === STORAGE.namespaces || type.storage === STORAGE.definitions;
    if (contents) finalizers.add(CONTENTS);
    const grace = this.#grace(type, current, options);
    if (finalizers.size === 0 && grace === 0) return null;
    const again = metadata.deletionTimestamp !== undefined;
    const known = metadata.deletionGracePeriodSeconds ?? 0;
    const shortened = again && type.storage === STORAGE.pods && grace < known;
    if (again && !shortened && equal([...finalizers], metadata.finalizers ?? [])) return current;
    const until = new Date(this.environment.now().getTime() + grace * 1000);
    return {
      ...current,
      ...(type.storage === STORAGE.namespaces
        ? { status: { ...objectAt(current['status']), phase: 'Terminating' } }
        : {}),
      metadata: {
        ...metadata,
        ...(finalizers.size === 0 ? {} : { finalizers: [...finalizers] }),
        ...(again && !shortened ? {} : { deletionTimestamp: timestamp(until) }),
        ...((again && !shortened) || contents ? {} : { deletionGracePeriodSeconds: grace }),
        ...(hasGeneration(type) ? { generation: (metadata.generation ?? 0) + (again ? 0 : 1) } : {}),
      },
    };
  }

  /** Seconds that a pod on a node gets to end; its kubelet deletes it finally with 0. */
  #grace(type: ResourceType, current: KubeObject, options: DeleteOptions): number {
    if (type.storage !== STORAGE.pods) return 0;
    const phase = valueAt(current, 'status', 'phase');
    if (valueAt(current, 'spec', 'nodeName') === undefined || phase === 'Succeeded' || phase === 'Failed') return 0;
    const own = valueAt(current, 'spec', 'terminationGracePeriodSeconds');
    const wanted = options.gracePeriodSeconds ?? (typeof own === 'number' ? own : podGraceSeconds);
    const known = current.metadata.deletionGracePeriodSeconds;
    return known === undefined ? wanted : Math.min(wanted, known);
  }
}

/** Holds a namespace or a definition until its contents are gone. */
export const CONTENTS = 'local-cluster/contents';

/** Who manages what, where the write itself says it. */
const recorded = (options: WriteOptions): { managedFields?: JsonObject[] } =>
  options.managed === null ? {} : { managedFields: options.managed() };

function keepIdentity(mutated: KubeObject, original: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp, generation } = original.metadata;
  return {
    ...mutated,
    metadata: {
      ...mutated.metadata,
      name,
      uid,
      resourceVersion,
      creationTimestamp,
      ...(namespace === undefined ? {} : { namespace }),
      ...(generation === undefined ? {} : { generation }),
    },
  };
}

/** Metadata that only the server sets, from the present object. */
function serverMetadata(current: KubeObject, wanted: Metadata): Metadata {
  const { deletionTimestamp: _d, deletionGracePeriodSeconds: _g, managedFields: _m, selfLink: _s, ...kept } = wanted;
  const { name, namespace, uid, resourceVersion, creationTimestamp, generation } = current.metadata;
  const { deletionTimestamp, deletionGracePeriodSeconds, managedFields, generateName } = current.metadata;
  return {
    ...kept,
    name,
    uid,
    resourceVersion,
    creationTimestamp,
    ...(namespace === undefined ? {} : { namespace }),
    ...(generation === undefined ? {} : { generation }),
    ...(generateName === undefined ? {} : { generateName }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(deletionGracePeriodSeconds === undefined ? {} : { deletionGracePeriodSeconds }),
    ...(managedFields === undefined ? {} : { managedFields }),
  };
}

function contentsOf(object: KubeObject): JsonObject {
  const { metadata: _m, status: _s, apiVersion: _a, kind: _k, ...contents } = object;
  return contents;
}

/** The part of `wanted` that this path may change, over the present object. */
function merged(type: ResourceType, current: KubeObject, wanted: KubeObject, subresource: '' | 'status'): KubeObject {
  if (subresource === 'status') {
    const { status: _, ...rest } = current;
    const base = objectFrom(rest);
    return wanted['status'] === undefined ? base : { ...base, status: wanted['status'] };
  }
  const metadata = serverMetadata(current, wanted.metadata);
  const { status: _, ...rest } = wanted;
  const object: KubeObject = type.status
    ? { ...objectFrom(rest), metadata, ...(current['status'] === undefined ? {} : { status: current['status'] }) }
    : { ...wanted, metadata };
  const generation = metadata.generation ?? 1;
  return !hasGeneration(type) || equal(contentsOf(object), contentsOf(current))
    ? object
    : { ...object, metadata: { ...metadata, generation: generation + 1 } };
}
