/**
 * The words in which the custom resources are written down. Each function makes a typebox schema that carries, at
 * once, the static TypeScript type of the *complete* object (every field present, as `completeObject` returns it) and
 * the OpenAPI facts of the CRD (format, enum, nullable, required). `open-api.ts` turns them into a structural schema.
 *
 * Two things differ from plain typebox: nothing is required on the wire unless `{ required: true }` says so, and a
 * nullable text, list or map is never null inside (absent, null and empty are the same thing for upstream's clients).
 */
import { Type, type Static, type TOptional, type TProperties, type TSchema, type TUnsafe } from 'typebox';

/** What may be said about a field beyond its type; everything here ends up in the CRD except `absent`. */
export interface FieldOptions {
  /** The API server accepts `null`. */
  nullable?: boolean;
  /** The API server refuses the object when its parent is there and this field is not. */
  required?: boolean;
  /** Value filled in by the API server. */
  default?: string;
  minimum?: number;
  minLength?: number;
}

/** Key under which a schema carries what `completeObject` fills in for a missing field; never part of the CRD. */
export const ABSENT_KEY = 'x-longhorn-absent';
/** Key that marks a field as required on the wire; moved to the parent's `required` list in the CRD. */
export const REQUIRED_KEY = 'x-longhorn-required';

function unsafe<T>(schema: Record<string, unknown>, options: FieldOptions): TUnsafe<T> {
  const { required, ...rest } = options;
  return Type.Unsafe<T>({ ...schema, ...rest, ...(required === true ? { [REQUIRED_KEY]: true } : {}) });
}

/** A string; absent reads as `''`. */
export function text(description: string, options: FieldOptions = {}): TUnsafe<string> {
  return unsafe<string>({ type: 'string', description, [ABSENT_KEY]: '' }, options);
}

/**
 * One of a fixed set of strings. Absent reads as `''` where that is a member, else as `absent`, else as the first
 * member: the value that the admission webhook fills in.
 */
export function choice<const T extends readonly string[]>(
  values: T,
  description: string,
  options: FieldOptions & { absent?: T[number] } = {},
): TUnsafe<T[number]> {
  const { absent, ...rest } = options;
  const zero = absent ?? (values.includes('') ? '' : values[0]);
  return unsafe<T[number]>({ type: 'string', enum: [...values], description, [ABSENT_KEY]: zero }, rest);
}

/**
 * A string of which the listed values are all that this system writes, while the API server takes any (as upstream).
 * Absent reads as `''`.
 */
export function knownText<const T extends readonly string[]>(_values: T, description: string): TUnsafe<T[number] | ''> {
  return unsafe<T[number] | ''>({ type: 'string', description, [ABSENT_KEY]: '' }, {});
}

/** A Kubernetes quantity such as 100Mi; the API server also takes a number, which the admission webhook makes a string. */
export function quantity(description: string): TUnsafe<string> {
  return unsafe<string>(
    {
      'x-kubernetes-int-or-string': true,
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      description,
      [ABSENT_KEY]: '',
    },
    {},
  );
}

/** A boolean; absent reads as false. */
export function flag(description: string, options: FieldOptions = {}): TUnsafe<boolean> {
  return unsafe<boolean>({ type: 'boolean', description, [ABSENT_KEY]: false }, options);
}

/** An integer without a format (upstream's `int`); absent reads as 0. */
export function integer(description: string, options: FieldOptions = {}): TUnsafe<number> {
  return unsafe<number>({ type: 'integer', description, [ABSENT_KEY]: 0 }, options);
}

/** A 32 bit integer; absent reads as 0. */
export function int32(description: string, options: FieldOptions = {}): TUnsafe<number> {
  return unsafe<number>({ type: 'integer', format: 'int32', description, [ABSENT_KEY]: 0 }, options);
}

/** A 64 bit integer written as a JSON number. Values above 2^53 lose precision; no real size gets there. */
export function int64(description: string, options: FieldOptions = {}): TUnsafe<number> {
  return unsafe<number>({ type: 'integer', format: 'int64', description, [ABSENT_KEY]: 0 }, options);
}

/** A 64 bit integer written as a decimal string; a JSON number is refused by the API server. Absent reads as `'0'`. */
export function int64Text(description: string, options: FieldOptions = {}): TUnsafe<string> {
  return unsafe<string>({ type: 'string', format: 'int64', description, [ABSENT_KEY]: '0' }, options);
}

/** A decimal string out of a fixed set, with format int64. */
export function int64Choice<const T extends readonly string[]>(
  values: T,
  absent: T[number],
  description: string,
): TUnsafe<T[number]> {
  return unsafe<T[number]>(
    { type: 'string', format: 'int64', enum: [...values], description, [ABSENT_KEY]: absent },
    {},
  );
}

/** An RFC 3339 time that is null while unset. */
export function time(description: string): TUnsafe<string | null> {
  return unsafe<string | null>(
    { type: 'string', format: 'date-time', nullable: true, description, [ABSENT_KEY]: null },
    {},
  );
}

/** An RFC 3339 time of a field where the API server refuses null: it is left out while unset. */
export function timeOrMissing(description: string): TOptional<TUnsafe<string>> {
  return Type.Optional(unsafe<string>({ type: 'string', format: 'date-time', description }, {}));
}

/** A list; absent and null read as `[]`. */
export function list<T extends TSchema>(
  items: T,
  description: string,
  options: FieldOptions = {},
): TUnsafe<Static<T>[]> {
  return unsafe<Static<T>[]>({ type: 'array', items, description, [ABSENT_KEY]: [] }, options);
}

/** A map with string keys; absent and null read as `{}`. */
export function map<T extends TSchema>(
  values: T,
  description: string,
  options: FieldOptions = {},
): TUnsafe<Record<string, Static<T>>> {
  return unsafe<Record<string, Static<T>>>(
    { type: 'object', additionalProperties: values, description, [ABSENT_KEY]: {} },
    options,
  );
}

/** An object with known fields; absent reads as the object with every field absent. */
export function object<T extends TProperties>(fields: T, description: string): ReturnType<typeof Type.Object<T>> {
  return Type.Object(fields, { description });
}

/** An object that is null while it is not given (additions of ours only; upstream's objects are always there). */
export function objectOrNull<T extends TProperties>(
  fields: T,
  description: string,
): TUnsafe<Static<ReturnType<typeof Type.Object<T>>> | null> {
  const inner = Type.Object(fields, { description });
  return unsafe<Static<typeof inner> | null>({ ...inner, nullable: true, [ABSENT_KEY]: null }, {});
}

/**
 * A field whose type upstream fixes to a string and for which we also take another form. The static type is the stored
 * one; the admission webhook turns the other form into it. A structural schema cannot name two types, so the field
 * keeps whatever comes, and the webhook is what refuses the rest.
 */
export function withOtherForm<T extends TSchema>(
  stored: T,
  enumOfBoth: readonly (string | boolean)[] | null,
): TUnsafe<Static<T>> {
  const { type: _type, enum: _enum, ...rest } = Object.fromEntries(Object.entries(stored));
  return Type.Unsafe<Static<T>>({
    ...rest,
    ...(enumOfBoth === null ? {} : { enum: [...enumOfBoth] }),
    'x-kubernetes-preserve-unknown-fields': true,
  });
}

const conditionFields = object(
  {
    lastProbeTime: text('Always empty; kept for older clients.'),
    lastTransitionTime: text('When status changed last, RFC 3339.'),
    message: text('Sentence for people.'),
    reason: text('Word for programs.'),
    status: text('True, False or Unknown.'),
    type: text('What the condition is about.'),
  },
  'One observed condition.',
);

/** The list of conditions that most statuses have. */
export function conditions(description: string, options: FieldOptions = { nullable: true }): TUnsafe<Condition[]> {
  return list(conditionFields, description, options);
}

/** A condition as every kind of Longhorn has it. */
export type Condition = Static<typeof conditionFields>;

/** Frontends of volumes and engines. */
export const FRONTENDS = ['blockdev', 'iscsi', 'nvmf', 'ublk', ''] as const;
/** Data engines. */
export const DATA_ENGINES = ['v1', 'v2'] as const;

/** States of engine and replica processes. */
export const INSTANCE_STATES = [
  'running',
  'stopped',
  'error',
  'starting',
  'stopping',
  'unknown',
  'terminated',
] as const;

/** What limits a volume's speed; in a volume's own spec and in the setting `volume-qos`. */
export const qosFields = {
  guaranteedIops: integer('I/O operations per second that are held for the volume when its node is loaded; 0: none.', {
    minimum: 0,
  }),
  iopsLimit: integer('At most so many I/O operations per second; 0: as the setting volume-qos says.', { minimum: 0 }),
  throughputLimit: quantity('At most so many bytes per second, such as 100Mi; empty: as the setting volume-qos says.'),
};

/** `spec` fields that engines and replicas have in common (upstream's InstanceSpec, flattened). */
export const instanceSpecFields = {
  dataEngine: choice(DATA_ENGINES, 'Data engine; cannot be changed.'),
  desireState: knownText(['running', 'stopped'], 'Wanted state of the process: running or stopped.'),
  image: text('Engine image (v1) or instance manager image (v2) to run.'),
  logRequested: flag('Asks the controller to fetch the log of the process once.'),
  nodeID: text('Node that the process runs on.'),
  salvageRequested: flag('Asks for salvage at the next start.'),
  volumeName: text('Volume that it belongs to.'),
  volumeSize: int64Text('Size of the volume in bytes, as a decimal string.'),
};

/** `status` fields that engines and replicas have in common (upstream's InstanceStatus, flattened). */
export const instanceStatusFields = {
  currentImage: text('Image of the running process; empty when it does not run.'),
  currentState: knownText(
    INSTANCE_STATES,
    'State of the process: running, stopped, error, starting, stopping or unknown.',
  ),
  instanceManagerName: text('Instance manager that runs the process.'),
  ip: text('Pod IP of the instance manager; set exactly while running.'),
  logFetched: flag('Answer to spec.logRequested.'),
  ownerID: text('Node whose manager takes care of this object.'),
  port: integer('First port of the process.'),
  salvageExecuted: flag('Answer to spec.salvageRequested.'),
  started: flag('The process has been running.'),
  starting: flag('The process was asked for and is not running yet.'),
  storageIP: text('IP that carries the data traffic; set exactly while running.'),
  ublkID: int32('Number of the ublk device (v2).'),
  uuid: text('UUID of the process.'),
};
