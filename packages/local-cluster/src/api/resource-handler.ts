/**
 * Requests on resources: from parameters and bodies to operations, and from objects to answers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { timestamp } from './environment.ts';
import { equal, isObject, objectAt, stringAt, valueAt, type Json, type JsonObject } from './json.ts';
import { listPage, matcher, type ListRequest } from './listing.ts';
import { accepted, bodyOf, mediaTypeOf, parsed, type Accepted } from './media.ts';
import { objectFrom, type KubeObject } from './object.ts';
import type { Operations } from './operations.ts';
import { jsonPatch, mergePatch } from './patch.ts';
import { strategicMerge } from './patch-strategic.ts';
import { refuseUndecodable } from './built-in-faults.ts';
import { bind, evict, scaleOf, scaled } from './pod-subresources.ts';
import { decode, subjectOf, type WriteOptions } from './preparation.ts';
import { deleteOptions, writeOptions, type OptionsKind } from './request-options.ts';
import { apiVersionOf, type ResourceType } from './resource-type.ts';
import type { ResourceRoute } from './route.ts';
import { applied } from './server-apply.ts';
import {
  ApiError,
  badRequest,
  causes,
  invalid,
  invalidOptions,
  methodNotAllowed,
  notFound,
  pathNotFound,
  unsupportedMediaType,
  verbNotSupported,
} from './status-error.ts';
import { textOf } from './store.ts';
import { partialMetadata, tableOf, type IncludeObject } from './table.ts';
import { toServed, toStored } from './versions.ts';
import { serveWatch, type Encode } from './watching.ts';

export interface Answer {
  code: number;
  text: string;
  /** application/json unless it says otherwise */
  media?: string;
}

/** Serves the log of a pod's container; writes the response itself. */
export type PodLog = (pod: KubeObject, parameters: URLSearchParams, response: ServerResponse) => Promise<void>;

/** Kinds whose deletion is answered with the object instead of a Status. */
const RETURNED_WHEN_DELETED = new Set([
  '/pods',
  '/persistentvolumeclaims',
  '/persistentvolumes',
  '/serviceaccounts',
  '/services',
  'storage.k8s.io/csidrivers',
  'storage.k8s.io/csinodes',
  'storage.k8s.io/csistoragecapacities',
  'storage.k8s.io/storageclasses',
  'storage.k8s.io/volumeattachments',
]);

/** Built-in kinds that a PUT without resourceVersion is refused for, as for every custom one. */
const GUARDED = new Set([
  'admissionregistration.k8s.io/mutatingwebhookconfigurations',
  'admissionregistration.k8s.io/validatingwebhookconfigurations',
  'apiextensions.k8s.io/customresourcedefinitions',
  'coordination.k8s.io/leases',
  'policy/poddisruptionbudgets',
  'storage.k8s.io/csidrivers',
  'storage.k8s.io/csinodes',
  'storage.k8s.io/csistoragecapacities',
  'storage.k8s.io/volumeattachments',
]);
const updatesUnconditionally = (type: ResourceType): boolean => !type.custom && !GUARDED.has(type.storage);

/** What a patch makes of an object is refused as invalid, where the object itself would not be decoded. */
function rewordedForPatch(error: unknown): never {
  if (error instanceof ApiError && error.code === 400 && error.message.includes('cannot be handled as a'))
    throw Object.assign(
      new ApiError(422, 'Invalid', ` "" is invalid: patch: Invalid value: ${error.message}`, {
        causes: [{ reason: 'FieldValueInvalid', message: `Invalid value: ${error.message}`, field: 'patch' }],
      }),
      { cause: error },
    );
  throw error;
}

const otherNamespace = (): Error =>
  badRequest('the namespace of the provided object does not match the namespace sent on the request');

const isTrue = (text: string | null): boolean => text === 'true' || text === '1';

export class ResourceHandler {
  readonly #operations: Operations;
  readonly #podLog: PodLog;

  constructor(operations: Operations, podLog: PodLog) {
    this.#operations = operations;
    this.#podLog = podLog;
  }

  /** Answers a request; `null`: it was answered as a stream. */
  async handle(
    route: ResourceRoute,
    url: URL,
    request: IncomingMessage,
    response: ServerResponse,
    warn: (text: string) => void,
  ): Promise<Answer | null> {
    const call = new Call(this.#operations, route, url.searchParams, request, response, warn);
    if (route.subresource === 'log' && route.type.storage === '/pods' && request.method === 'GET') {
      await this.#podLog(call.get(), url.searchParams, response);
      return null;
    }
    return route.name === null ? call.collection() : call.single(route.name);
  }
}

/** One request. */
class Call {
  readonly #operations: Operations;
  readonly #route: ResourceRoute;
  readonly #type: ResourceType;
  readonly #parameters: URLSearchParams;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #warn: (text: string) => void;
  readonly #accepted: Accepted;

  constructor(
    operations: Operations,
    route: ResourceRoute,
    parameters: URLSearchParams,
    request: IncomingMessage,
    response: ServerResponse,
    warn: (text: string) => void,
  ) {
    this.#operations = operations;
    this.#route = route;
    this.#type = route.type;
    this.#parameters = parameters;
    this.#request = request;
    this.#response = response;
    this.#warn = warn;
    this.#accepted = accepted(request.headers.accept);
  }

  get #namespace(): string {
    return this.#route.namespace ?? '';
  }

  get(): KubeObject {
    return this.#operations.get(this.#type, this.#namespace, this.#route.name ?? '');
  }

  #include(): IncludeObject {
    const include = this.#parameters.get('includeObject') ?? 'Metadata';
    if (include !== 'None' && include !== 'Metadata' && include !== 'Object')
      throw badRequest(`includeObject: ${JSON.stringify(include)} is not one of None, Metadata, Object`);
    return include;
  }

  #table(objects: readonly KubeObject[], metadata: JsonObject): JsonObject {
    return tableOf(this.#type, objects, metadata, this.#include(), this.#operations.environment.now());
  }

  #encoder(): Encode {
    switch (this.#accepted.form) {
      case 'table':
        return (object) => JSON.stringify(this.#table([object], { resourceVersion: object.metadata.resourceVersion }));
      case 'metadata':
        return (object) => JSON.stringify(partialMetadata(object));
      case 'object':
        return (object) => {
          const served = toServed(this.#type, object);
          // Of a dry run: it was never stored.
          if (served.metadata.resourceVersion !== '') return textOf(served);
          const { resourceVersion: _, ...metadata } = served.metadata;
          return JSON.stringify({ ...served, metadata });
        };
    }
  }

  /** An item of a list: of built-in kinds it says neither apiVersion nor kind, which the list does. */
  #itemEncoder(): Encode {
    if (this.#type.custom || this.#accepted.form !== 'object') return this.#encoder();
    return (object) => {
      const { apiVersion: _a, kind: _k, ...item } = toServed(this.#type, object);
      return JSON.stringify(item);
    };
  }

  #answer(code: number, object: KubeObject): Answer {
    return { code, text: this.#encoder()(object) };
  }

  #listRequest(): ListRequest {
    const { type, namespace, name } = this.#route;
    return { type, namespace, name, parameters: this.#parameters };
  }

  #list(): Answer | null {
    if (this.#route.watch || isTrue(this.#parameters.get('watch'))) {
      serveWatch(this.#operations.store, this.#listRequest(), this.#encoder(), this.#response);
      return null;
    }
    const page = listPage(this.#operations.store, this.#listRequest());
    const selected = ['labelSelector', 'fieldSelector'].some((name) => (this.#parameters.get(name) ?? '') !== '');
    const metadata: JsonObject = {
      resourceVersion: String(page.version),
      ...(page.continueToken === '' && (!this.#type.custom || this.#accepted.form === 'table')
        ? {}
        : { continue: page.continueToken }),
      // Behind a selector nobody has counted them.
      ...(page.continueToken === '' || selected ? {} : { remainingItemCount: page.remaining }),
    };
    if (this.#accepted.form === 'table')
      return { code: 200, text: JSON.stringify(this.#table(page.objects, metadata)) };
    const partial = this.#accepted.form === 'metadata';
    const kind = partial ? 'PartialObjectMetadataList' : this.#type.listKind;
    const apiVersion = partial ? 'meta.k8s.io/v1' : apiVersionOf(this.#type);
    const head = JSON.stringify({ kind, apiVersion, metadata }).slice(0, -1);
    return { code: 200, text: `${head},"items":[${page.objects.map(this.#itemEncoder()).join(',')}]}` };
  }

  async #body(): Promise<Json | undefined> {
    return parsed(await bodyOf(this.#request), mediaTypeOf(this.#request));
  }

  #options(kind: OptionsKind): WriteOptions {
    return writeOptions(kind, this.#parameters, this.#request.headers['user-agent'], this.#warn);
  }

  async collection(): Promise<Answer | null> {
    const everywhere = this.#type.namespaced && this.#route.namespace === null;
    if (everywhere && this.#request.method !== 'GET') throw methodNotAllowed();
    switch (this.#request.method ?? '') {
      case 'GET':
        return this.#list();
      case 'POST':
        return this.#create();
      case 'DELETE':
        return this.#deleteCollection();
      default:
        throw methodNotAllowed();
    }
  }

  async #create(): Promise<Answer> {
    const object = decode(this.#type, await this.#body());
    if (this.#type.namespaced) {
      if ((object.metadata.namespace ?? this.#namespace) !== this.#namespace) throw otherNamespace();
      object.metadata.namespace = this.#namespace;
    } else delete object.metadata.namespace;
    return this.#answer(201, await this.#operations.create(this.#type, object, this.#options('CreateOptions')));
  }

  async #deleteCollection(): Promise<Answer> {
    const options = deleteOptions(await this.#body(), this.#parameters, this.#warn);
    const request = this.#listRequest();
    const matches = matcher(request);
    const chosen = this.#operations.store.list(this.#type.storage, request.namespace).filter(matches);
    for (const object of chosen) {
      const present = this.#operations.store.get(
        this.#type.storage,
        object.metadata.namespace ?? '',
        object.metadata.name,
      );
      if (present?.metadata.uid === object.metadata.uid)
        await this.#operations.remove(this.#type, object.metadata.namespace ?? '', object.metadata.name, options);
    }
    const items = chosen.map(this.#itemEncoder()).join(',');
    const head = {
      kind: this.#type.listKind,
      apiVersion: apiVersionOf(this.#type),
      metadata: {
        ...(this.#type.custom ? { continue: '' } : {}),
        resourceVersion: String(this.#operations.store.version),
      },
    };
    return { code: 200, text: `${JSON.stringify(head).slice(0, -1)},"items":[${items}]}` };
  }

  async single(name: string): Promise<Answer | null> {
    const { subresource, watch } = this.#route;
    const { method } = this.#request;
    if (this.#type.namespaced && this.#namespace === '') throw pathNotFound();
    if (subresource === 'scale' && this.#type.storage === 'apps/deployments') return this.#scale(name);
    if (method === 'POST' && this.#type.storage === '/pods') return this.#podAction(name, subresource);
    if (subresource !== '' && !(subresource === 'status' && this.#type.status))
      throw this.#type.custom && (subresource === 'status' || subresource === 'scale')
        ? notFound(subjectOf(this.#type, name))
        : pathNotFound();
    if (subresource === 'status' && this.#type.custom && (method === 'POST' || method === 'DELETE'))
      throw verbNotSupported(subjectOf(this.#type, name), method === 'POST' ? 'create' : 'delete');
    switch (method ?? '') {
      case 'GET':
        return watch ? this.#list() : this.#answer(200, this.get());
      case 'PUT':
        return this.#put(name, subresource === 'status' ? 'status' : '');
      case 'PATCH':
        return this.#patch(name, subresource === 'status' ? 'status' : '');
      case 'DELETE':
        if (subresource === '') return this.#delete(name);
        break;
      default:
    }
    throw methodNotAllowed();
  }

  async #put(name: string, subresource: '' | 'status'): Promise<Answer> {
    const object = decode(this.#type, await this.#body());
    const given = object.metadata.namespace ?? this.#namespace;
    if (object.metadata.name === '') object.metadata.name = name;
    if (given !== this.#namespace) throw otherNamespace();
    if (object.metadata.resourceVersion === '' && !updatesUnconditionally(this.#type)) this.#requireVersion(name);
    const options = this.#options('UpdateOptions');
    return this.#answer(
      200,
      await this.#operations.update(this.#type, this.#namespace, name, subresource, () => object, options),
    );
  }

  /** Kinds that are never replaced blindly. */
  #requireVersion(name: string): void {
    this.get();
    throw invalid(subjectOf(this.#type, name), [
      causes.invalid('metadata.resourceVersion', 0, 'must be specified for an update'),
    ]);
  }

  async #patch(name: string, subresource: '' | 'status'): Promise<Answer> {
    const media = mediaTypeOf(this.#request);
    if (media === 'application/apply-patch+yaml') return this.#apply(name, subresource);
    const patch = parsed(await bodyOf(this.#request), media) ?? {};
    const patched = (served: KubeObject): Json => {
      switch (media) {
        case 'application/json-patch+json':
          return jsonPatch(served, patch);
        case 'application/merge-patch+json':
          return mergePatch(served, patch);
        case 'application/strategic-merge-patch+json':
          if (!this.#type.custom) return strategicMerge(served, patch);
          break;
        default:
      }
      throw unsupportedMediaType(
        'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
      );
    };
    const change = (current: KubeObject): KubeObject => {
      const result = objectFrom(patched(toServed(this.#type, current)));
      if (result.kind !== this.#type.kind) throw badRequest('a patch may not change the kind');
      if (result.metadata.uid !== current.metadata.uid)
        throw invalid({ group: this.#type.group, kind: this.#type.kind, name }, [
          causes.invalid('metadata.uid', result.metadata.uid, 'field is immutable'),
        ]);
      refuseUndecodable(this.#type, result);
      return toStored(this.#type, result);
    };
    const options = this.#options('PatchOptions');
    const update = this.#operations.update(this.#type, this.#namespace, name, subresource, change, options);
    return this.#answer(200, await update.catch(rewordedForPatch));
  }

  async #apply(name: string, subresource: '' | 'status'): Promise<Answer> {
    const body = parsed(await bodyOf(this.#request), 'application/yaml');
    if (!isObject(body) || stringAt(body['apiVersion']) === '' || stringAt(body['kind']) === '')
      throw badRequest('an apply patch must be one object with apiVersion and kind');
    const manager = this.#parameters.get('fieldManager') ?? '';
    if (manager === '')
      throw invalidOptions('PatchOptions', [causes.required('fieldManager', 'is required for apply patch')]);
    const metadata = objectAt(body['metadata']);
    if ((metadata['name'] ?? name) !== name)
      throw badRequest(
        `the name of the object (${stringAt(metadata['name'])}) does not match the name on the URL (${name})`,
      );
    if (metadata['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
    const place = this.#type.namespaced ? { name, namespace: this.#namespace } : { name };
    const wanted = decode(this.#type, { ...body, metadata: { ...metadata, ...place } });
    const outcome = await applied(this.#operations, this.#type, wanted, {
      manager,
      force: isTrue(this.#parameters.get('force')),
      subresource,
      options: this.#options('PatchOptions'),
    });
    return this.#answer(outcome.created ? 201 : 200, outcome.object);
  }

  async #delete(name: string): Promise<Answer> {
    const options = deleteOptions(await this.#body(), this.#parameters, this.#warn);
    const { object, gone } = await this.#operations.remove(this.#type, this.#namespace, name, options);
    if (!gone || RETURNED_WHEN_DELETED.has(this.#type.storage)) return this.#answer(200, object);
    const { group, plural } = this.#type;
    const details = { name, ...(group === '' ? {} : { group }), kind: plural, uid: object.metadata.uid };
    return {
      code: 200,
      text: JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }),
    };
  }

  async #podAction(name: string, action: string): Promise<Answer> {
    const body = objectAt(await this.#body());
    const now = timestamp(this.#operations.environment.now());
    if (action === 'binding') await bind(this.#operations, this.#type, this.#namespace, name, body, now);
    else if (action === 'eviction') await evict(this.#operations, this.#type, this.#namespace, name, body);
    else throw action === '' ? methodNotAllowed() : pathNotFound();
    return {
      code: 201,
      text: JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }),
    };
  }

  async #scale(name: string): Promise<Answer> {
    const { method } = this.#request;
    if (method === 'GET') return { code: 200, text: JSON.stringify(scaleOf(this.get())) };
    if (method !== 'PUT' && method !== 'PATCH') throw methodNotAllowed();
    const body = await this.#body();
    const change = (current: KubeObject): KubeObject => {
      const wanted = method === 'PUT' ? body : mergePatch(scaleOf(current), body ?? {});
      const replicas = valueAt(wanted, 'spec', 'replicas');
      if (typeof replicas !== 'number' || !Number.isSafeInteger(replicas) || replicas < 0)
        throw badRequest('spec.replicas must be a whole number');
      return equal(valueAt(current, 'spec', 'replicas'), replicas) ? current : scaled(current, replicas);
    };
    const object = await this.#operations.update(
      this.#type,
      this.#namespace,
      name,
      '',
      change,
      this.#options('PatchOptions'),
    );
    return { code: 200, text: JSON.stringify(scaleOf(object)) };
  }
}
