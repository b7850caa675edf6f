/** A list that is loading, failed or empty; else its content. */
import { Group, Loader, Paper, Text } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ErrorNotice } from './ErrorNotice.tsx';

interface ListStateProps<Row> {
  /** such as `volumes` */
  noun: string;
  query: UseQueryResult<readonly Row[]>;
  /** what to do when there is nothing */
  empty: ReactNode;
  children: (rows: readonly Row[]) => ReactNode;
}

export function ListState<Row>({ noun, query, empty, children }: ListStateProps<Row>) {
  const { data, error, refetch } = query;
  const failure = error !== null && (
    <ErrorNotice title={`The ${noun} cannot be read`} error={error} onRetry={() => void refetch()} />
  );
  if (data === undefined) {
    if (failure !== false) return failure;
    return (
      <Group role="status" p="xl" justify="center">
        <Loader size="sm" aria-hidden="true" />
        <Text>Reading the {noun} …</Text>
      </Group>
    );
  }
  return (
    <>
      {failure}
      {data.length === 0 ? (
        <Paper withBorder p="xl" ta="center">
          {empty}
        </Paper>
      ) : (
        children(data)
      )}
    </>
  );
}
