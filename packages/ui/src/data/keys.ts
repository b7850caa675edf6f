/** Keys of the query cache, and which list each stream carries. */
import type { RestSchemaId } from '@longhorn/shared-types/rest/rest-schemas';

/** Streams that the page opens, by the name in their path. */
export const STREAM_SCHEMA = { volumes: 'volume', nodes: 'node' } as const satisfies Record<string, RestSchemaId>;

export type StreamName = keyof typeof STREAM_SCHEMA;

export const keys = {
  list: (stream: StreamName) => ['list', stream] as const,
  snapshots: (volume: string) => ['snapshots', volume] as const,
};
