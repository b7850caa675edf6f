/**
 * What a message of a stream makes of the list that is there. A message is always the complete list; rows that are equal stay
 * the same objects, and an equal list stays the same list, so that only what changed is drawn again.
 */
import { replaceEqualDeep } from '@tanstack/react-query';
import type { RestResource } from '@longhorn/shared-types/rest/rest-schemas';
import { decodeCollection } from './decode.ts';
import { STREAM_SCHEMA, type StreamName } from './keys.ts';

export type StreamRow<S extends StreamName> = RestResource<(typeof STREAM_SCHEMA)[S]>;

/** The list after a message. `before` is undefined while there is none. */
export function applyMessage<S extends StreamName>(
  stream: S,
  before: readonly StreamRow<S>[] | undefined,
  message: unknown,
): readonly StreamRow<S>[] {
  const rows: StreamRow<S>[] = decodeCollection(STREAM_SCHEMA[stream], message);
  return applyRows(before, rows);
}

/** The rows, with those of `before` that are equal. */
export function applyRows<T extends { id: string }>(
  before: readonly T[] | undefined,
  rows: readonly T[],
): readonly T[] {
  if (before === undefined) return rows;
  const known = new Map(before.map((row) => [row.id, row]));
  const after = rows.map((row): T => {
    const old = known.get(row.id);
    return old === undefined ? row : replaceEqualDeep(old, row);
  });
  const isSame = after.length === before.length && after.every((row, index) => row === before[index]);
  return isSame ? before : after;
}
