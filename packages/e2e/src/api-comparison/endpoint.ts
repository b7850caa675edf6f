/**
 * One API server, reached as its kubeconfig says: plain or TLS, with a token, a client certificate or a path. Sends a
 * request as it stands and answers what came back, refusals included.
 */
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';

const ANSWER_MS = 30_000;

export interface WireRequest {
  method: string;
  path: string;
  body: string | null;
  headers: Record<string, string>;
  /** of a stream: how many lines are read before it is left; `null`: no stream */
  lines: number | null;
  /** without credentials */
  anonymous: boolean;
}

export interface WireAnswer {
  status: number;
  contentType: string;
  warnings: string[];
  text: string;
}

interface KubeConfig {
  'current-context'?: string;
  contexts?: { name: string; context: { cluster: string; user: string } }[];
  clusters: {
    name: string;
    cluster: { server: string; 'certificate-authority-data'?: string; 'certificate-authority'?: string };
  }[];
  users: {
    name: string;
    user: {
      token?: string;
      'client-certificate-data'?: string;
      'client-certificate'?: string;
      'client-key-data'?: string;
      'client-key'?: string;
    };
  }[];
}

const warningsOf = (response: IncomingMessage): string[] =>
  response.rawHeaders.flatMap((name, index) =>
    index % 2 === 0 && name.toLowerCase() === 'warning' ? [response.rawHeaders[index + 1] ?? ''] : [],
  );

export class Endpoint {
  readonly #server: URL;
  readonly #token: string;
  readonly #tls: RequestOptions & { ca?: Buffer; cert?: Buffer; key?: Buffer };

  constructor(kubeconfigPath: string) {
    const config = parse(readFileSync(kubeconfigPath, 'utf8')) as KubeConfig;
    const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context;
    const cluster = config.clusters.find(({ name }) => name === context?.cluster) ?? config.clusters[0];
    const user = config.users.find(({ name }) => name === context?.user) ?? config.users[0];
    if (cluster === undefined) throw new Error(`${kubeconfigPath} names no cluster`);
    const material = (data: string | undefined, file: string | undefined): Buffer | undefined => {
      if (data !== undefined) return Buffer.from(data, 'base64');
      return file === undefined ? undefined : readFileSync(resolve(dirname(kubeconfigPath), file));
    };
    const ca = material(cluster.cluster['certificate-authority-data'], cluster.cluster['certificate-authority']);
    const cert = material(user?.user['client-certificate-data'], user?.user['client-certificate']);
    const key = material(user?.user['client-key-data'], user?.user['client-key']);
    this.#server = new URL(cluster.cluster.server);
    this.#token = user?.user.token ?? '';
    this.#tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  }

  send({ method, path, body, headers, lines, anonymous }: WireRequest): Promise<WireAnswer> {
    const secure = this.#server.protocol === 'https:';
    const { cert: _c, key: _k, ...withoutUser } = this.#tls;
    const options: RequestOptions = {
      method,
      signal: AbortSignal.timeout(ANSWER_MS),
      headers: {
        accept: 'application/json',
        'user-agent': 'api-comparison/1',
        ...(body === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
        ...(anonymous || this.#token === '' ? {} : { authorization: `Bearer ${this.#token}` }),
        ...headers,
      },
      ...(secure ? (anonymous ? withoutUser : this.#tls) : {}),
    };
    // An anonymous request does without the path of the server, too: local-cluster has its token there.
    const url = anonymous
      ? `${this.#server.origin}${path}`
      : `${this.#server.origin}${this.#server.pathname.replace(/\/$/, '')}${path}`;
    return new Promise((done, failed) => {
      const outgoing = (secure ? httpsRequest : httpRequest)(url, options, (response) => {
        let text = '';
        const end = (): void =>
          done({
            status: response.statusCode ?? 0,
            contentType: (response.headers['content-type'] ?? '').split(';')[0] ?? '',
            warnings: warningsOf(response),
            // More of a stream may have come than was asked for.
            text: lines === null ? text : text.split('\n').slice(0, lines).join('\n'),
          });
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          if (lines === null || response.statusCode !== 200 || text.split('\n').length <= lines) return;
          end();
          response.destroy();
        });
        response.once('end', end);
        response.once('error', failed);
      });
      outgoing.once('error', failed);
      outgoing.end(body ?? undefined);
    });
  }
}
