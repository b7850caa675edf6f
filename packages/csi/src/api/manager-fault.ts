/** What goes wrong at the manager's API, and which status a CSI call gets for it. */
import { Code, errorText, RpcError, rpcError } from '@longhorn/shared-types/grpc/rpc-error';

/** The manager answered that it will not: HTTP status and its sentence. */
export class ManagerFault extends Error {
  override readonly name = 'ManagerFault';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The manager could not be asked, or its answer could not be read. */
export class ManagerUnreachable extends Error {
  override readonly name = 'ManagerUnreachable';
}

/** The manager says only 404 and 500; what kind of refusal it is stands in the sentence. */
const MEANINGS: readonly [pattern: RegExp, code: number][] = [
  [/is not supported yet/, Code.FailedPrecondition],
  [/already exists/, Code.AlreadyExists],
  [/failed to schedule .* more bytes to disk/, Code.OutOfRange],
  [/size of target volume .* is different/, Code.OutOfRange],
  [/below 2\^63/, Code.OutOfRange],
  [/snapshot .* is not ready to use/, Code.FailedPrecondition],
  [/invalid volume state|before replica scheduling success|is not ready, couldn't attach/, Code.FailedPrecondition],
  [/specified (disk|node) tag .* does not exist/, Code.InvalidArgument],
  [/failed to parse|denied the request|cannot unmarshal|is not valid|must be/, Code.InvalidArgument],
];

/** The status of a call for whatever went wrong inside it. */
export function rpcErrorOf(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof ManagerUnreachable) return rpcError(Code.Unavailable, error.message, { cause: error });
  if (error instanceof ManagerFault) {
    const code =
      error.status === 404
        ? Code.NotFound
        : (MEANINGS.find(([pattern]) => pattern.test(error.message))?.[1] ?? Code.Internal);
    return rpcError(code, error.message, { cause: error });
  }
  return rpcError(Code.Internal, errorText(error), { cause: error });
}
