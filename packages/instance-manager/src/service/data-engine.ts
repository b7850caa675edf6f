/** Only the v1 data engine is served here; calls for others are refused in upstream's words. */
import { DataEngine } from '@longhorn/shared-types/generated/imrpc';
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';

/** Throws Unimplemented unless `value` is v1. */
export function requireV1(value: DataEngine): void {
  if (value === DataEngine.DATA_ENGINE_V1) return;
  const name = Object.entries(DataEngine).find(([, number]) => number === value)?.[0] ?? String(value);
  throw rpcError(Code.Unimplemented, `unsupported data engine ${name}`);
}

/** The nested message of a request; throws InvalidArgument when it was not sent. */
export function required<T>(value: T | null, field: string): T {
  if (value === null) throw rpcError(Code.InvalidArgument, `missing required argument: ${field}`);
  return value;
}
