/**
 * Pages of sorted lists. A token is the key of the last entry that was sent, so entries that come or go between two
 * pages neither repeat nor hide others.
 */
import { Code, rpcError } from '@longhorn/shared-types/grpc/rpc-error';
import { invalid } from '../call/request-checks.ts';

const PREFIX = 'after:';

export interface PageRequest {
  readonly max_entries: number;
  readonly starting_token: string;
}

/** Key after which the page starts; '' = at the beginning. A token of other makers is Aborted, as CSI has it. */
export function startKey(token: string): string {
  if (token === '') return '';
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!text.startsWith(PREFIX) || Buffer.from(text).toString('base64url') !== token) {
    throw rpcError(
      Code.Aborted,
      `starting_token ${JSON.stringify(token.slice(0, 100))} is not one of a list here: start again without`,
    );
  }
  return text.slice(PREFIX.length);
}

/** One page of `items`, which are sorted by `keyOf`. */
export function page<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  { max_entries: max, starting_token: token }: PageRequest,
): { items: T[]; next_token: string } {
  if (max < 0) throw invalid(`max_entries must not be negative, it is ${max}`);
  const after = startKey(token);
  const rest = items.filter((item) => keyOf(item) > after);
  const taken = max === 0 ? rest : rest.slice(0, max);
  const last = taken.at(-1);
  const isMore = last !== undefined && taken.length < rest.length;
  return { items: taken, next_token: isMore ? Buffer.from(PREFIX + keyOf(last)).toString('base64url') : '' };
}
