/**
 * Admission webhooks as the real server calls them: mutating ones one after the other, then validating ones.
 *
 * A webhook that cannot be reached refuses the request (failurePolicy Fail) or is passed over (Ignore). A service is
 * resolved to a ready pod at the time of the call.
 */
import { Agent, request as httpsRequest } from 'node:https';
import { webhookAnswerBytesMax, webhookTimeoutMs, webhookTimeoutMsMax } from '../limits.ts';
import type { Admission, AdmissionCall } from './admission.ts';
import { STORAGE } from './builtin-kinds.ts';
import { isObject, listAt, objectAt, stringAt, stringMapAt, valueAt, type Json, type JsonObject } from './json.ts';
import { objectFrom, type KubeObject } from './object.ts';
import { jsonPatch } from './patch.ts';
import { objectSelector } from './selectors.ts';
import { ApiError, internalError } from './status-error.ts';
import type { Store } from './store.ts';

export interface Endpoint {
  address: string;
  port: number;
}

/** Finds a ready endpoint of a service's port; `null`: none is ready. */
export type ResolveService = (namespace: string, name: string, port: number) => Endpoint | null;

interface Webhook {
  name: string;
  configuration: string;
  definition: JsonObject;
}

const includes = (list: Json | undefined, wanted: string): boolean =>
  listAt(list).some((entry) => entry === '*' || entry === wanted);

function ruleMatches(rule: Json, call: AdmissionCall): boolean {
  const { group, version, plural, namespaced } = call.type;
  const resource = call.subresource === '' ? plural : `${plural}/${call.subresource}`;
  const resources = listAt(valueAt(rule, 'resources')).map(stringAt);
  const named = resources.some(
    (entry) =>
      entry === '*/*' ||
      entry === resource ||
      (entry === '*' && call.subresource === '') ||
      entry === `${plural}/*` ||
      (call.subresource !== '' && entry === `*/${call.subresource}`),
  );
  const scope = stringAt(valueAt(rule, 'scope')) || '*';
  return (
    named &&
    includes(valueAt(rule, 'operations'), call.operation) &&
    includes(valueAt(rule, 'apiGroups'), group) &&
    includes(valueAt(rule, 'apiVersions'), version) &&
    (scope === '*' || (scope === 'Namespaced') === namespaced)
  );
}

function reviewOf(call: AdmissionCall, uid: string, object: KubeObject | null): JsonObject {
  const { group, version, plural, kind } = call.type;
  const subject = object ?? call.previous;
  const gvk = { group, version, kind };
  const gvr = { group, version, resource: plural };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid,
      kind: gvk,
      resource: gvr,
      requestKind: gvk,
      requestResource: gvr,
      ...(call.subresource === '' ? {} : { subResource: call.subresource, requestSubResource: call.subresource }),
      name: subject?.metadata.name ?? '',
      ...(subject?.metadata.namespace === undefined ? {} : { namespace: subject.metadata.namespace }),
      operation: call.operation,
      userInfo: { username: call.options.fieldManager, groups: ['system:masters', 'system:authenticated'] },
      object,
      oldObject: call.previous,
      dryRun: call.options.dryRun,
      options: {
        apiVersion: 'meta.k8s.io/v1',
        kind: `${call.operation[0] ?? ''}${call.operation.slice(1).toLowerCase()}Options`,
      },
    },
  };
}

/** A patch that does not fit is the webhook's fault, not the client's. */
function patched(webhook: Webhook, object: KubeObject, operations: Json): KubeObject {
  try {
    return objectFrom(jsonPatch(object, operations));
  } catch (error) {
    const reason =
      error instanceof Error ? (typeof error.cause === 'string' ? error.cause : error.message) : String(error);
    throw Object.assign(internalError(`admission webhook "${webhook.name}": ${reason}`), { cause: error });
  }
}

/** The webhook answered, but not to what it was asked. */
class InvalidResponse extends Error {}

interface Target {
  url: URL;
  servername: string;
}

export class WebhookAdmission implements Admission {
  readonly #store: Store;
  readonly #resolve: ResolveService;
  readonly #uuid: () => string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16, timeout: 60_000 });

  constructor(store: Store, resolve: ResolveService, uuid: () => string) {
    this.#store = store;
    this.#resolve = resolve;
    this.#uuid = uuid;
  }

  /** Closes kept connections. */
  close(): void {
    this.#agent.destroy();
  }

  async mutate(call: AdmissionCall & { object: KubeObject }): Promise<KubeObject> {
    let { object } = call;
    for (const webhook of this.#matching(STORAGE.mutatingWebhooks, call)) {
      const response = await this.#ask(webhook, { ...call, object }, object);
      if (response === null) continue;
      const patch = stringAt(response['patch']);
      if (patch === '') continue;
      if (response['patchType'] !== 'JSONPatch')
        throw internalError(`admission webhook "${webhook.name}": patchType must be JSONPatch`);
      const operations = JSON.parse(Buffer.from(patch, 'base64').toString('utf8')) as Json;
      object = patched(webhook, object, operations);
    }
    return object;
  }

  async validate(call: AdmissionCall): Promise<void> {
    for (const webhook of this.#matching(STORAGE.validatingWebhooks, call)) await this.#ask(webhook, call, call.object);
  }

  #matching(storage: string, call: AdmissionCall): Webhook[] {
    // The real server exempts these, too: a broken webhook must not lock out its own repair.
    if (call.type.group === 'admissionregistration.k8s.io') return [];
    return this.#store.list(storage).flatMap((configuration) =>
      listAt(configuration['webhooks'])
        .filter(isObject)
        .filter((definition) => this.#selects(definition, call))
        .map((definition) => ({
          name: stringAt(definition['name']),
          configuration: configuration.metadata.name,
          definition,
        })),
    );
  }

  #selects(definition: JsonObject, call: AdmissionCall): boolean {
    if (!listAt(definition['rules']).some((rule) => ruleMatches(rule, call))) return false;
    const subjects = [call.object, call.previous].filter((object) => object !== null);
    const byObject = objectSelector(definition['objectSelector']);
    if (!subjects.some((object) => byObject(object.metadata.labels ?? {}))) return false;
    const namespace = subjects[0]?.metadata.namespace;
    if (namespace === undefined) return true;
    const labels = {
      'kubernetes.io/metadata.name': namespace,
      ...this.#store.get(STORAGE.namespaces, '', namespace)?.metadata.labels,
    };
    return objectSelector(definition['namespaceSelector'])(labels);
  }

  /** The response that allows, `null` when an unreachable webhook is passed over; throws when it refuses. */
  async #ask(webhook: Webhook, call: AdmissionCall, object: KubeObject | null): Promise<JsonObject | null> {
    const uid = this.#uuid();
    let response: JsonObject;
    try {
      const target = this.#target(webhook);
      const answer = await this.#post(webhook, target, JSON.stringify(reviewOf(call, uid, object)));
      response = objectAt(objectAt(answer)['response']);
      if (response['uid'] !== uid)
        throw new InvalidResponse(
          `received invalid webhook response: expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(stringAt(response['uid']))}`,
        );
    } catch (error) {
      if (webhook.definition['failurePolicy'] === 'Ignore') return null;
      const reason = error instanceof Error ? error.message : String(error);
      throw Object.assign(
        internalError(
          `failed calling webhook "${webhook.name}": ${error instanceof InvalidResponse ? '' : 'failed to call webhook: '}${reason}`,
        ),
        { cause: error },
      );
    }
    for (const warning of listAt(response['warnings'])) call.options.warn(stringAt(warning));
    if (response['allowed'] === true) return response;
    const status = objectAt(response['status']);
    const code = typeof status['code'] === 'number' && status['code'] >= 400 ? status['code'] : 400;
    const message = stringAt(status['message']);
    const because = message === '' ? 'denied the request without explanation' : `denied the request: ${message}`;
    throw new ApiError(
      code,
      stringAt(status['reason']),
      `admission webhook "${webhook.name}" ${because}`,
      isObject(status['details']) ? status['details'] : null,
    );
  }

  #target(webhook: Webhook): Target {
    const config = objectAt(webhook.definition['clientConfig']);
    const service = objectAt(config['service']);
    if (service['name'] === undefined) {
      const url = new URL(stringAt(config['url']));
      return { url, servername: url.hostname };
    }
    const name = stringAt(service['name']);
    const namespace = stringAt(service['namespace']);
    const port = typeof service['port'] === 'number' ? service['port'] : 443;
    const endpoint = this.#resolve(namespace, name, port);
    if (endpoint === null)
      throw new Error(`no endpoints available for service "${name}" in namespace "${namespace}", port ${port}`);
    const url = new URL(stringAt(service['path']) || '/', `https://${endpoint.address}:${endpoint.port}`);
    return { url, servername: `${name}.${namespace}.svc` };
  }

  #post(webhook: Webhook, { url, servername }: Target, body: string): Promise<Json> {
    const bundle = stringAt(stringMapAt(webhook.definition['clientConfig'])['caBundle']);
    const seconds = webhook.definition['timeoutSeconds'];
    const timeout = typeof seconds === 'number' ? Math.min(seconds * 1000, webhookTimeoutMsMax) : webhookTimeoutMs;
    const signal = AbortSignal.timeout(timeout);
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        url,
        {
          method: 'POST',
          agent: this.#agent,
          servername,
          signal,
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), host: servername },
          ...(bundle === '' ? {} : { ca: Buffer.from(bundle, 'base64').toString('utf8') }),
        },
        (response) => {
          const chunks: Buffer[] = [];
          let length = 0;
          response.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length > webhookAnswerBytesMax)
              request.destroy(new Error(`the answer is larger than ${webhookAnswerBytesMax} bytes`));
            else chunks.push(chunk);
          });
          response.once('error', reject);
          response.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            if (response.statusCode !== 200)
              reject(
                new Error(
                  `an error on the server (${JSON.stringify(text.slice(0, 200))}) has prevented the request from succeeding`,
                ),
              );
            else resolve(parsedAnswer(text, reject));
          });
        },
      );
      request.once('error', (error) => reject(signal.aborted ? new Error(`no answer within ${timeout} ms`) : error));
      request.end(body);
    });
  }
}

function parsedAnswer(text: string, reject: (error: Error) => void): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    reject(new Error('its answer is not JSON', { cause: error }));
    return null;
  }
}
