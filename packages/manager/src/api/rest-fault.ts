/** Errors of the REST API: a status and a sentence. Upstream's clients compare sentences, and know 404 and 500. */
import { AdmissionError } from '../webhooks/problem.ts';
import { ApiError } from '../datastore/kube-transport.ts';

/** An error that is the client's to see. */
export class RestFault extends Error {
  override readonly name = 'RestFault';
  readonly status: number;

  constructor(message: string, status = 500, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/** The object of this kind and name is not there. */
export function notFound(kind: string, name: string): RestFault {
  return new RestFault(`${kind} ${JSON.stringify(name)} not found`, 404);
}

/** What is in the interface and not built yet. */
export function notSupported(what: string): RestFault {
  return new RestFault(`${what} is not supported yet`);
}

/** The sentence of an error, without the path of the call that it came from. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof ApiError ? message.replace(/^(GET|POST|PUT|PATCH|DELETE) \S+: [0-9]+ /, '') : message;
}

function statusOf(error: unknown): number {
  if (error instanceof RestFault) return error.status;
  return error instanceof ApiError && error.status === 404 ? 404 : 500;
}

/** Puts words in front of what goes wrong inside, and keeps its status. */
export async function wrapped<T>(words: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof RestFault || error instanceof ApiError || error instanceof AdmissionError) {
      throw new RestFault(`${words}: ${messageOf(error)}`, statusOf(error), { cause: error });
    }
    throw error;
  }
}

/** Status and sentence of whatever was thrown. */
export function describeFault(error: unknown): { status: number; message: string } {
  return { status: statusOf(error), message: messageOf(error) };
}
