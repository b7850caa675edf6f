/**
 * Bodies in Kubernetes' protobuf form, as Go clients send them for built-in kinds (`kubectl create namespace`, drain,
 * leader election). Only reading, and only the kinds in the table below: answers are JSON, which those clients accept.
 *
 * A body is "k8s\0", then Unknown { 1: TypeMeta { 1: apiVersion, 2: kind }, 2: raw }.
 */
import type { Json, JsonObject } from './json.ts';
import { badRequest, unsupportedMediaType } from './status-error.ts';

type Scalar = 'string' | 'bytes' | 'bool' | 'int' | 'time' | 'micro-time' | 'int-or-string' | 'strings' | 'bytes-map';
type FieldType = Scalar | { message: Message } | { list: Message | 'string' };
/** field number -> name and type; others are passed over */
type Message = Readonly<Record<number, readonly [name: string, type: FieldType]>>;

const OWNER: Message = {
  1: ['kind', 'string'],
  3: ['name', 'string'],
  4: ['uid', 'string'],
  5: ['apiVersion', 'string'],
  6: ['controller', 'bool'],
  7: ['blockOwnerDeletion', 'bool'],
};
const META: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  11: ['labels', 'strings'],
  12: ['annotations', 'strings'],
  13: ['ownerReferences', { list: OWNER }],
  14: ['finalizers', { list: 'string' }],
};
const metadata = ['metadata', { message: META }] as const;
const REFERENCE: Message = {
  1: ['kind', 'string'],
  2: ['namespace', 'string'],
  3: ['name', 'string'],
  4: ['uid', 'string'],
  5: ['apiVersion', 'string'],
  6: ['resourceVersion', 'string'],
  7: ['fieldPath', 'string'],
};
const SELECTOR: Message = {
  1: ['matchLabels', 'strings'],
  2: [
    'matchExpressions',
    { list: { 1: ['key', 'string'], 2: ['operator', 'string'], 3: ['values', { list: 'string' }] } },
  ],
};
const DELETE_OPTIONS: Message = {
  1: ['gracePeriodSeconds', 'int'],
  2: ['preconditions', { message: { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] } }],
  3: ['orphanDependents', 'bool'],
  4: ['propagationPolicy', 'string'],
  5: ['dryRun', { list: 'string' }],
};

const KINDS: Readonly<Record<string, Message>> = {
  'v1 Namespace': { 1: metadata, 2: ['spec', { message: { 1: ['finalizers', { list: 'string' }] } }] },
  'v1 ConfigMap': { 1: metadata, 2: ['data', 'strings'], 3: ['binaryData', 'bytes-map'], 4: ['immutable', 'bool'] },
  'v1 Secret': {
    1: metadata,
    2: ['data', 'bytes-map'],
    3: ['type', 'string'],
    4: ['stringData', 'strings'],
    5: ['immutable', 'bool'],
  },
  'v1 ServiceAccount': { 1: metadata },
  'v1 Binding': { 1: metadata, 2: ['target', { message: REFERENCE }] },
  'v1 Event': {
    1: metadata,
    2: ['involvedObject', { message: REFERENCE }],
    3: ['reason', 'string'],
    4: ['message', 'string'],
    5: ['source', { message: { 1: ['component', 'string'], 2: ['host', 'string'] } }],
    6: ['firstTimestamp', 'time'],
    7: ['lastTimestamp', 'time'],
    8: ['count', 'int'],
    9: ['type', 'string'],
    10: ['eventTime', 'micro-time'],
    14: ['reportingComponent', 'string'],
    15: ['reportingInstance', 'string'],
  },
  'v1 DeleteOptions': DELETE_OPTIONS,
  'meta.k8s.io/v1 DeleteOptions': DELETE_OPTIONS,
  'policy/v1 Eviction': { 1: metadata, 2: ['deleteOptions', { message: DELETE_OPTIONS }] },
  'policy/v1 PodDisruptionBudget': {
    1: metadata,
    2: [
      'spec',
      {
        message: {
          1: ['minAvailable', 'int-or-string'],
          2: ['selector', { message: SELECTOR }],
          3: ['maxUnavailable', 'int-or-string'],
        },
      },
    ],
  },
  'coordination.k8s.io/v1 Lease': {
    1: metadata,
    2: [
      'spec',
      {
        message: {
          1: ['holderIdentity', 'string'],
          2: ['leaseDurationSeconds', 'int'],
          3: ['acquireTime', 'micro-time'],
          4: ['renewTime', 'micro-time'],
          5: ['leaseTransitions', 'int'],
        },
      },
    ],
  },
  'scheduling.k8s.io/v1 PriorityClass': {
    1: metadata,
    2: ['value', 'int'],
    3: ['globalDefault', 'bool'],
    4: ['description', 'string'],
    5: ['preemptionPolicy', 'string'],
  },
  'authorization.k8s.io/v1 SelfSubjectAccessReview': { 1: metadata },
  'authorization.k8s.io/v1 SelfSubjectRulesReview': { 1: metadata },
  'authentication.k8s.io/v1 SelfSubjectReview': { 1: metadata },
};

interface Raw {
  number: number;
  /** of a varint or fixed field */
  value: bigint;
  /** of a length-delimited field */
  bytes: Buffer | null;
}

const cut = (): Error => badRequest('the protobuf body ends in the middle of a field');

function* rawFields(body: Buffer): Generator<Raw> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = body[at++];
      if (byte === undefined) throw cut();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw badRequest('a number in the protobuf body is longer than 64 bits');
  };
  const take = (length: number): Buffer => {
    if (length < 0 || at + length > body.length) throw cut();
    at += length;
    return body.subarray(at - length, at);
  };
  while (at < body.length) {
    const key = Number(varint());
    const number = key >> 3;
    switch (key & 7) {
      case 0:
        yield { number, value: varint(), bytes: null };
        break;
      case 1:
        yield { number, value: take(8).readBigInt64LE(), bytes: null };
        break;
      case 2:
        yield { number, value: 0n, bytes: take(Number(varint())) };
        break;
      case 5:
        yield { number, value: BigInt(take(4).readInt32LE()), bytes: null };
        break;
      default:
        throw badRequest('the protobuf body has a field of a form that does not exist');
    }
  }
}

const text = (raw: Raw): string => (raw.bytes ?? Buffer.alloc(0)).toString('utf8');

function entryOf(raw: Raw, asBytes: boolean): [string, string] {
  const entry: [string, string] = ['', ''];
  for (const field of rawFields(raw.bytes ?? Buffer.alloc(0)))
    if (field.number === 1) entry[0] = text(field);
    else if (field.number === 2) entry[1] = asBytes ? (field.bytes ?? Buffer.alloc(0)).toString('base64') : text(field);
  return entry;
}

function timeOf(raw: Raw, micro: boolean): string {
  let seconds = 0n;
  let nanos = 0n;
  for (const field of rawFields(raw.bytes ?? Buffer.alloc(0)))
    if (field.number === 1) seconds = field.value;
    else if (field.number === 2) nanos = field.value;
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) throw badRequest('a time in the protobuf body is not one');
  const base = date.toISOString().slice(0, 19);
  return micro ? `${base}.${String(nanos / 1000n).padStart(6, '0')}Z` : `${base}Z`;
}

function intOrString(raw: Raw): Json {
  let kind = 0n;
  let number = 0n;
  let word = '';
  for (const field of rawFields(raw.bytes ?? Buffer.alloc(0)))
    if (field.number === 1) kind = field.value;
    else if (field.number === 2) number = field.value;
    else if (field.number === 3) word = text(field);
  return kind === 1n ? word : Number(number);
}

function scalar(raw: Raw, type: Scalar, before: Json | undefined): Json {
  switch (type) {
    case 'string':
      return text(raw);
    case 'bytes':
      return (raw.bytes ?? Buffer.alloc(0)).toString('base64');
    case 'bool':
      return raw.value !== 0n;
    case 'int':
      return Number(raw.value);
    case 'time':
    case 'micro-time':
      return timeOf(raw, type === 'micro-time');
    case 'int-or-string':
      return intOrString(raw);
    case 'strings':
    case 'bytes-map': {
      const [key, value] = entryOf(raw, type === 'bytes-map');
      return { ...(before as JsonObject | undefined), [key]: value };
    }
  }
}

function messageOf(body: Buffer, message: Message): JsonObject {
  const result: JsonObject = {};
  for (const raw of rawFields(body)) {
    const field = message[raw.number];
    if (field === undefined) continue;
    const [name, type] = field;
    if (typeof type === 'string') result[name] = scalar(raw, type, result[name]);
    else if ('message' in type) result[name] = messageOf(raw.bytes ?? Buffer.alloc(0), type.message);
    else {
      const before = result[name];
      const element = type.list === 'string' ? text(raw) : messageOf(raw.bytes ?? Buffer.alloc(0), type.list);
      result[name] = [...(Array.isArray(before) ? before : []), element];
    }
  }
  return withoutEmpty(result);
}

/** Go writes empty strings where nothing was set. */
const withoutEmpty = (value: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== ''));

/** Decodes a body into the object that it would be in JSON. */
export function protobufObject(body: Buffer): JsonObject {
  if (body.subarray(0, 4).toString('latin1') !== 'k8s\0') throw badRequest('a protobuf body must begin with "k8s\\0"');
  let apiVersion = '';
  let kind = '';
  let raw = Buffer.alloc(0);
  for (const field of rawFields(body.subarray(4))) {
    if (field.number === 2) raw = Buffer.from(field.bytes ?? []);
    if (field.number !== 1) continue;
    for (const part of rawFields(field.bytes ?? Buffer.alloc(0)))
      if (part.number === 1) apiVersion = text(part);
      else if (part.number === 2) kind = text(part);
  }
  const message = KINDS[`${apiVersion} ${kind}`];
  if (message === undefined)
    throw unsupportedMediaType(
      `${apiVersion} ${kind} is not read as protobuf by local-cluster; send it as application/json`,
    );
  return { apiVersion, kind, ...messageOf(raw, message) };
}
