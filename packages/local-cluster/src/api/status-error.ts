/**
 * Refusals in the form that Kubernetes clients understand: a Status object with a reason and,
 * where a field is at fault, one cause per field.
 */
import type { JsonObject } from './json.ts';

export interface Cause extends JsonObject {
  reason: string;
  message: string;
  field: string;
}

export interface Subject {
  group: string;
  /** plural name, or the kind where a validation failed */
  kind: string;
  name: string;
}

export class ApiError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: JsonObject | null;
  constructor(code: number, reason: string, message: string, details: JsonObject | null = null) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/** The Status object of an error. */
export function statusOf(error: ApiError): JsonObject {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    ...(error.reason === '' ? {} : { reason: error.reason }),
    ...(error.details === null ? {} : { details: error.details }),
    code: error.code,
  };
}

const detailsOf = (subject: Subject): JsonObject => ({
  ...(subject.name === '' ? {} : { name: subject.name }),
  ...(subject.group === '' ? {} : { group: subject.group }),
  kind: subject.kind,
});
const qualified = (subject: Subject): string =>
  subject.group === '' ? subject.kind : `${subject.kind}.${subject.group}`;

export const badRequest = (message: string): ApiError => new ApiError(400, 'BadRequest', message);

export const notFound = (subject: Subject): ApiError =>
  new ApiError(404, 'NotFound', `${qualified(subject)} "${subject.name}" not found`, detailsOf(subject));

/** A path that no resource answers. */
export const pathNotFound = (): ApiError =>
  new ApiError(404, 'NotFound', 'the server could not find the requested resource', {});

export const alreadyExists = (subject: Subject): ApiError =>
  new ApiError(409, 'AlreadyExists', `${qualified(subject)} "${subject.name}" already exists`, detailsOf(subject));

export const conflict = (subject: Subject, message: string, causes: Cause[] = []): ApiError =>
  new ApiError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(subject)} "${subject.name}": ${message}`,
    { ...detailsOf(subject), ...(causes.length === 0 ? {} : { causes }) },
  );

export const modifiedMeanwhile = (subject: Subject): ApiError =>
  conflict(subject, 'the object has been modified; please apply your changes to the latest version and try again');

export const forbidden = (subject: Subject, message: string): ApiError =>
  new ApiError(
    403,
    'Forbidden',
    `${qualified(subject)} "${subject.name}" is forbidden: ${message}`,
    detailsOf(subject),
  );

export function invalid(subject: Subject, causes: Cause[]): ApiError {
  const texts = causes.map((cause) => `${cause.field}: ${cause.message}`);
  const listed = texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`;
  return new ApiError(422, 'Invalid', `${qualified(subject)} "${subject.name}" is invalid: ${listed}`, {
    ...detailsOf(subject),
    causes,
  });
}

export const methodNotAllowed = (): ApiError =>
  new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});

/** A verb that a kind does not know. */
export const verbNotSupported = (subject: Subject, verb: string): ApiError =>
  new ApiError(405, 'MethodNotAllowed', `${verb} is not supported on resources of kind "${qualified(subject)}"`, {
    ...(subject.group === '' ? {} : { group: subject.group }),
    kind: subject.kind,
  });

/** Parameters of a request that mean nothing; `kind` as `ListOptions`. */
export const invalidOptions = (kind: string, found: Cause[]): ApiError =>
  invalid({ group: 'meta.k8s.io', kind, name: '' }, found);

export const unsupportedMediaType = (message: string): ApiError => new ApiError(415, 'UnsupportedMediaType', message);
export const notAcceptable = (message: string): ApiError => new ApiError(406, 'NotAcceptable', message, {});
export const expired = (message: string): ApiError => new ApiError(410, 'Expired', message);
export const unauthorized = (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized');
export const tooManyRequests = (message: string): ApiError => new ApiError(429, 'TooManyRequests', message);
export const internalError = (message: string): ApiError =>
  new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });

/** One fault of a field, worded as the real server words it. */
export const causes = {
  required: (field: string, detail = ''): Cause => ({
    reason: 'FieldValueRequired',
    message: detail === '' ? 'Required value' : `Required value: ${detail}`,
    field,
  }),
  invalid: (field: string, value: unknown, detail: string): Cause => ({
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${JSON.stringify(value)}: ${detail}`,
    field,
  }),
  typeInvalid: (field: string, value: unknown, detail: string): Cause => ({
    reason: 'FieldValueTypeInvalid',
    message: `Invalid value: ${JSON.stringify(value)}: ${detail}`,
    field,
  }),
  notSupported: (field: string, value: unknown, allowed: readonly string[]): Cause => ({
    reason: 'FieldValueNotSupported',
    message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${allowed.map((a) => `"${a}"`).join(', ')}`,
    field,
  }),
  tooLong: (field: string, bytesMax: number): Cause => ({
    reason: 'FieldValueTooLong',
    message: `Too long: may not be more than ${bytesMax} bytes`,
    field,
  }),
  tooMany: (field: string, count: number, countMax: number): Cause => ({
    reason: 'FieldValueTooMany',
    message: `Too many: ${count}: must have at most ${countMax} items`,
    field,
  }),
  forbidden: (field: string, detail: string): Cause => ({
    reason: 'FieldValueForbidden',
    message: `Forbidden: ${detail}`,
    field,
  }),
};
