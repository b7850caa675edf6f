/** All nodes with their disks. */
import { Text } from '@mantine/core';
import { DataTable } from '../../components/DataTable.tsx';
import { ListState } from '../../components/ListState.tsx';
import { PageHead } from '../../components/PageHead.tsx';
import { useLiveList } from '../../data/list-and-watch.ts';
import { nodeColumns } from './node-columns.tsx';

export function NodeList() {
  const query = useLiveList('nodes');
  return (
    <>
      <PageHead title="Nodes" />
      <ListState
        noun="nodes"
        query={query}
        empty={<Text>No node has joined yet. A node joins when its manager starts.</Text>}
      >
        {(nodes) => (
          <DataTable
            label="Nodes"
            rows={nodes}
            columns={nodeColumns}
            initialOrder={{ columnId: 'name', direction: 'ascending' }}
          />
        )}
      </ListState>
    </>
  );
}
