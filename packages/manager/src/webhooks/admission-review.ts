/**
 * The envelope of admission: reads an AdmissionReview, asks the rules, writes the answer. Whatever goes wrong here is an
 * answer, too: a review without one would look like a webhook that is away.
 */
import { strict as assert } from 'node:assert';
import { API_GROUP, CRD_KINDS, type CrdKind } from '@longhorn/shared-types';
import { decodeKind, mutate, validate, type AdmissionRequest, type Operation } from './admission.ts';
import type { AdmissionFacts, KindedObject } from './admission-facts.ts';
import { isJsonObject, peekObject, textAt, type JsonObject } from './json-object.ts';
import { AdmissionError, type Problem, type ProblemCode } from './problem.ts';

const REASONS: Record<ProblemCode, string> = {
  400: 'BadRequest',
  403: 'Forbidden',
  422: 'Invalid',
  500: 'InternalError',
};
const MESSAGE_LENGTH_MAX = 4096;

/** Gathers the facts for an object. */
export type FactsSource = (object: KindedObject, operation: Operation) => Promise<AdmissionFacts>;

/** Which of the two webhooks. */
export type Phase = 'mutation' | 'validation';

function isCrdKind(kind: string): kind is CrdKind {
  return Object.hasOwn(CRD_KINDS, kind);
}

function objectOrNull(value: unknown): JsonObject | null {
  return isJsonObject(value) ? value : null;
}

function decodeRequest(request: JsonObject): AdmissionRequest {
  const { kind, group } = {
    kind: textAt(peekObject(request, 'kind'), 'kind'),
    group: textAt(peekObject(request, 'kind'), 'group'),
  };
  const operation = textAt(request, 'operation');
  if (group !== API_GROUP || !isCrdKind(kind)) {
    throw new AdmissionError([
      { field: 'request.kind', message: `no rules for kind ${kind} of group ${group}`, code: 400 },
    ]);
  }
  if (operation !== 'CREATE' && operation !== 'UPDATE' && operation !== 'DELETE') {
    throw new AdmissionError([
      { field: 'request.operation', message: `no rules for operation ${operation}`, code: 400 },
    ]);
  }
  const object = objectOrNull(request['object']);
  const old = objectOrNull(request['oldObject']);
  if ((operation === 'DELETE' ? old : object) === null || (operation === 'UPDATE' && old === null)) {
    throw new AdmissionError([{ field: 'request', message: `operation ${operation} without its object`, code: 400 }]);
  }
  return { kind, operation, object, old };
}

/** Whose object it is, for `The Volume "v" is invalid`. */
interface Subject {
  group: string;
  kind: string;
  name: string;
}

function subjectOf(request: JsonObject): Subject {
  const { group, kind } = peekObject(request, 'kind');
  const metadata = peekObject(peekObject(request, 'object'), 'metadata');
  const name = textAt(metadata, 'name') || textAt(request, 'name');
  return { group: typeof group === 'string' ? group : '', kind: typeof kind === 'string' ? kind : '', name };
}

/** Clients print the field before the message of a cause; a path that the message begins with is not said twice. */
function causeOf({ field, message }: Problem): JsonObject {
  const prefix = field === '' ? '' : `${field}: `;
  const shown = message.startsWith(prefix) ? message.slice(prefix.length) : message;
  return { reason: 'FieldValueInvalid', message: shown, field };
}

function refusal(problems: readonly Problem[], subject: Subject): JsonObject {
  const [first] = problems;
  assert(first !== undefined);
  const message = problems
    .map((problem) => problem.message)
    .join('; ')
    .slice(0, MESSAGE_LENGTH_MAX);
  const causes = problems.map(causeOf);
  return {
    allowed: false,
    status: {
      status: 'Failure',
      code: first.code,
      reason: REASONS[first.code],
      message,
      ...(first.code === 422 ? { details: { ...subject, causes } } : {}),
    },
  };
}

async function decide(phase: Phase, request: AdmissionRequest, factsFor: FactsSource): Promise<JsonObject> {
  const subject = request.object ?? request.old;
  assert(subject !== null);
  const facts = await factsFor(decodeKind(request.kind, subject), request.operation);
  if (phase === 'validation') {
    const problems = validate(request, facts);
    if (problems.length > 0) throw new AdmissionError(problems);
    return { allowed: true };
  }
  const patch = mutate(request, facts);
  if (patch.length === 0) return { allowed: true };
  return { allowed: true, patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
}

/** The answer to a review; `onFault` hears of errors that are ours. */
export async function reviewAdmission(
  phase: Phase,
  review: unknown,
  factsFor: FactsSource,
  onFault: (error: unknown) => void,
): Promise<JsonObject> {
  const request = isJsonObject(review) ? peekObject(review, 'request') : {};
  let response: JsonObject;
  try {
    response = await decide(phase, decodeRequest(request), factsFor);
  } catch (error) {
    if (error instanceof AdmissionError) {
      response = refusal(error.problems, subjectOf(request));
    } else {
      onFault(error);
      const message = error instanceof Error ? error.message : String(error);
      response = refusal(
        [{ field: '', message: `cannot check the object now: ${message}`, code: 500 }],
        subjectOf(request),
      );
    }
  }
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: textAt(request, 'uid'), ...response },
  };
}
