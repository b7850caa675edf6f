/** A small Kubernetes client for tests: JSON over fetch, one kubeconfig, the system's namespace. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { WEBHOOK_IS_GONE } from './rest.ts';

export const NAMESPACE = 'longhorn-system';
const GROUP = '/apis/longhorn.io/v1beta2';

/** Any object; tests read it by path with `at`. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; [key: string]: unknown };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
}

/** The API server's refusal, with its reason and message. */
export class KubeError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface KubeConfig {
  clusters: { cluster: { server: string } }[];
  users: { user: { token?: string } }[];
}

export class Kube {
  private readonly server: string;
  private readonly token: string;

  constructor(kubeconfigPath: string) {
    const config = parse(readFileSync(kubeconfigPath, 'utf8')) as KubeConfig;
    this.server = config.clusters[0]?.cluster.server ?? '';
    this.token = config.users[0]?.user.token ?? '';
  }

  /** Any call; answers the decoded body, null for 404 on GET and DELETE. Once more when a webhook was not there to be asked. */
  async call(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<unknown> {
    try {
      return await this.callOnce(method, path, body, contentType);
    } catch (error) {
      if (!(error instanceof KubeError && WEBHOOK_IS_GONE.test(error.message))) throw error;
      return this.callOnce(method, path, body, contentType);
    }
  }

  private async callOnce(method: string, path: string, body: unknown, contentType: string): Promise<unknown> {
    const response = await fetch(this.server + path, {
      method,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': contentType, accept: 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    });
    const text = await response.text();
    if (response.status === 404 && (method === 'GET' || method === 'DELETE')) return null;
    const decoded = (text === '' ? {} : JSON.parse(text)) as { message?: string };
    if (!response.ok) throw new KubeError(response.status, decoded.message ?? text);
    return decoded;
  }

  private path(plural: string, name?: string): string {
    return `${GROUP}/namespaces/${NAMESPACE}/${plural}${name === undefined ? '' : `/${name}`}`;
  }

  async get(plural: string, name: string): Promise<KubeObject | null> {
    return (await this.call('GET', this.path(plural, name))) as KubeObject | null;
  }

  async list(plural: string): Promise<KubeObject[]> {
    return ((await this.call('GET', this.path(plural))) as { items: KubeObject[] }).items;
  }

  async create(plural: string, object: KubeObject): Promise<KubeObject> {
    return (await this.call('POST', this.path(plural), object)) as KubeObject;
  }

  async merge(plural: string, name: string, patch: unknown): Promise<KubeObject> {
    return (await this.call('PATCH', this.path(plural, name), patch, 'application/merge-patch+json')) as KubeObject;
  }

  async delete(plural: string, name: string): Promise<void> {
    await this.call('DELETE', this.path(plural, name));
  }
}

export const CHAP_SECRET = 'longhorn-iscsi-chap';

/** The Secret with the CHAP accounts of iSCSI targets. `values`: username, password, and for mutual CHAP username_in, password_in. */
export function chapSecret(
  values: Readonly<Record<string, string>>,
): KubeObject & { type: string; stringData: object } {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: CHAP_SECRET, namespace: NAMESPACE },
    type: 'kubernetes.io/iscsi-chap',
    stringData: Object.fromEntries(Object.entries(values).map(([key, value]) => [`node.session.auth.${key}`, value])),
  };
}

/** `at(object, 'status.state')` -> value or undefined. */
export function at(object: unknown, path: string): unknown {
  let value: unknown = object;
  for (const key of path.split('.')) {
    if (value === null || typeof value !== 'object') return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

/** Whether what holds conditions, as a status does, has this one, and it is True. */
export function conditionIsTrue(holder: unknown, type: string): boolean {
  const conditions = at(holder, 'conditions');
  return (
    Array.isArray(conditions) &&
    conditions.some((condition: unknown) => at(condition, 'type') === type && at(condition, 'status') === 'True')
  );
}
