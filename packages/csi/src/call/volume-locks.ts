/** At most one call at a time per volume (or snapshot); the second is told to come back. */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { LOCKS_MAX } from '../limits.ts';

export class VolumeLocks {
  readonly #taken = new Map<string, string>();

  /** Takes the lock for `method` and returns what gives it back; throws Aborted while another call has it. */
  take(key: string, method: string): () => void {
    const holder = this.#taken.get(key);
    if (holder !== undefined) {
      throw rpcError(Code.Aborted, `${holder} is still working on ${key}: ${method} must wait, try again`);
    }
    if (this.#taken.size >= LOCKS_MAX) {
      throw rpcError(Code.ResourceExhausted, `${LOCKS_MAX} calls are in progress: try again`);
    }
    this.#taken.set(key, method);
    return () => {
      this.#taken.delete(key);
    };
  }
}
