/**
 * Request bodies and the forms of an answer that a client accepts.
 */
import { parse as parseYaml } from 'yaml';
import { requestBytesMax } from '../limits.ts';
import type { IncomingMessage } from 'node:http';
import type { Json } from './json.ts';
import { protobufObject } from './protobuf.ts';
import { ApiError, badRequest, notAcceptable, unsupportedMediaType } from './status-error.ts';

export type Form = 'object' | 'table' | 'metadata';

export interface Accepted {
  form: Form;
  /** aggregated discovery: the apiVersion that was asked for, else '' */
  discovery: string;
}

function parametersOf(part: string): Map<string, string> {
  const [, ...rest] = part.split(';').map((text) => text.trim());
  return new Map(
    rest.map((text): [string, string] => {
      const at = text.indexOf('=');
      return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}

/** The first form of the Accept header that this server has. */
export function accepted(header: string | undefined): Accepted {
  const parts = (header ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  for (const part of parts) {
    const media = (part.split(';')[0] ?? '').trim();
    if (!['application/json', 'application/*', '*/*', 'application/yaml'].includes(media)) continue;
    const parameters = parametersOf(part);
    const as = parameters.get('as') ?? '';
    if (as === 'Table' && parameters.get('g') === 'meta.k8s.io') return { form: 'table', discovery: '' };
    if (as.startsWith('PartialObjectMetadata')) return { form: 'metadata', discovery: '' };
    if (as === 'APIGroupDiscoveryList')
      return { form: 'object', discovery: `apidiscovery.k8s.io/${parameters.get('v') ?? 'v2'}` };
    if (as === '') return { form: 'object', discovery: '' };
  }
  if (parts.length === 0) return { form: 'object', discovery: '' };
  throw notAcceptable('only the following media types are accepted: application/json');
}

export const mediaTypeOf = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? '';

/** The bytes of a body, at most `requestBytesMax`. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > requestBytesMax)
      throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${requestBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Parses a body as JSON or YAML; an empty one is `undefined`. */
export function parsed(body: Buffer, media: string): Json | undefined {
  if (body.length === 0) return undefined;
  if (media === 'application/vnd.kubernetes.protobuf') return protobufObject(body);
  const text = body.toString('utf8');
  try {
    if (media.includes('yaml')) return parseYaml(text) as Json;
    if (media.includes('json') || media === '*/*') return JSON.parse(text) as Json;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw Object.assign(badRequest(`the body cannot be read as ${media}: ${reason}`), { cause: error });
  }
  throw unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml`,
  );
}
