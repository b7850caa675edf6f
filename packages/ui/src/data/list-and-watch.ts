/**
 * Lists that keep themselves up to date: read once into the query cache, then replaced by what the stream says. Components see
 * only a query.
 */
import { useQuery, useQueryClient, type QueryClient, type UseQueryResult } from '@tanstack/react-query';
import { useEffect } from 'react';
import { applyMessage, applyRows, type StreamRow } from './apply-event.ts';
import { decodeCollection } from './decode.ts';
import { keys, STREAM_SCHEMA, type StreamName } from './keys.ts';
import { dataLimits } from './limits.ts';
import { openStream } from './live-stream.ts';
import { getJson, streamUrl } from './rest-client.ts';
import { noteStreamState } from './stream-states.ts';

/** A list and how its reading went. Data that was there stays there when reading it again fails. */
export function useLiveList<S extends StreamName>(stream: S): UseQueryResult<readonly StreamRow<S>[]> {
  const client = useQueryClient();
  return useQuery<readonly StreamRow<S>[]>({
    queryKey: keys.list(stream),
    queryFn: async () => {
      const key = keys.list(stream);
      const messagesBefore = client.getQueryState(key)?.dataUpdateCount;
      const rows: StreamRow<S>[] = decodeCollection(STREAM_SCHEMA[stream], await getJson(`/v1/${stream}`));
      const shown = client.getQueryData<readonly StreamRow<S>[]>(key);
      // An answer must not undo a message of the stream that came while it was on its way.
      const isOutrun = client.getQueryState(key)?.dataUpdateCount !== messagesBefore;
      return isOutrun && shown !== undefined ? shown : applyRows(shown, rows);
    },
    refetchInterval: dataLimits.listPollMs,
    structuralSharing: false,
  });
}

function watch<S extends StreamName>(client: QueryClient, stream: S): () => void {
  const close = openStream(
    streamUrl(stream),
    {
      onMessage(message) {
        const key = keys.list(stream);
        client.setQueryData<readonly StreamRow<S>[]>(key, (before) => applyMessage(stream, before, message));
      },
      onState: (state) => noteStreamState(stream, state),
      onProblem: (error) => console.error(`stream ${stream}:`, error),
    },
    Math.random,
  );
  return () => {
    close();
    noteStreamState(stream, null);
  };
}

/** Keeps the lists of these streams live while the caller is on screen. Used once, by the frame of the page. */
export function useStreams(streams: readonly StreamName[]): void {
  const client = useQueryClient();
  useEffect(() => {
    const closers = streams.map((stream) => watch(client, stream));
    return () => closers.forEach((close) => close());
  }, [client, streams]);
}
