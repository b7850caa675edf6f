/**
 * gRPC errors with upstream's texts and its wrapping rule.
 *
 * A bare error reads `rpc error: code = X desc = Y`; wrapped it reads `<prefix>: rpc error: code = X desc = Y` and keeps
 * the code. On the wire a bare error sends its description, a wrapped one the whole text. Callers search these texts.
 */

export const Code = {
  OK: 0,
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

const NAMES = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** `Unavailable`; an unknown number becomes `Code(n)`. */
export function codeName(code: number): string {
  return NAMES.get(code) ?? `Code(${code})`;
}

/** An error with a gRPC code. `message` is the text for people and for wrapping, `details` goes over the wire. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: number;
  readonly details: string;

  constructor(code: number, details: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}

/** A bare error with `details` as its description. */
export function rpcError(code: number, details: string, options?: ErrorOptions): RpcError {
  return new RpcError(code, details, `rpc error: code = ${codeName(code)} desc = ${details}`, options);
}

/** Text of any thrown value. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `<prefix>: <text of cause>`, with the code of the cause if it has one. */
export function wrapError(prefix: string, cause: unknown): Error {
  const text = `${prefix}: ${errorText(cause)}`;
  if (cause instanceof RpcError) return new RpcError(cause.code, text, text, { cause });
  return new Error(text, { cause });
}

/** Runs `work`; what it throws is wrapped with `prefix`. */
export async function withPrefix<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw wrapError(prefix, error);
  }
}

/** What a server answers for an error that a handler threw: a plain error has the code Unknown. */
export function statusOf(error: unknown): { code: number; details: string } {
  if (error instanceof RpcError) return { code: error.code, details: error.details };
  return { code: Code.Unknown, details: errorText(error) };
}

/** The code of an error; Unknown for a plain one. */
export function codeOf(error: unknown): number {
  return error instanceof RpcError ? error.code : Code.Unknown;
}
