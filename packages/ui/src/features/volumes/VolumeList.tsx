/** All volumes. */
import { Button, Group, Text, TextInput } from '@mantine/core';
import { useMemo, useState } from 'react';
import { DataTable } from '../../components/DataTable.tsx';
import { ListState } from '../../components/ListState.tsx';
import { PageHead } from '../../components/PageHead.tsx';
import { useLiveList } from '../../data/list-and-watch.ts';
import { attachedNode, type Volume } from '../../data/resources.ts';
import { useOpenDialog } from './open-dialog.ts';
import { volumeColumns } from './volume-columns.tsx';
import { volumeHealth } from './volume-health.ts';

function matches(volume: Volume, words: string): boolean {
  const text = `${volume.name} ${volumeHealth(volume).label} ${attachedNode(volume)}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function Rows({ volumes }: { volumes: readonly Volume[] }) {
  const [words, setWords] = useState('');
  const shown = useMemo(() => volumes.filter((volume) => matches(volume, words)), [volumes, words]);
  return (
    <>
      <Group mb="sm" gap="md">
        <TextInput
          type="search"
          aria-label="Filter by name, state or node"
          placeholder="Filter by name, state or node"
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
          w={{ base: '100%', xs: 280 }}
        />
        <Text size="sm" role="status">
          {shown.length === volumes.length ? `${volumes.length}` : `${shown.length} of ${volumes.length}`}{' '}
          {volumes.length === 1 ? 'volume' : 'volumes'}
        </Text>
      </Group>
      <DataTable
        label="Volumes"
        rows={shown}
        columns={volumeColumns}
        initialOrder={{ columnId: 'name', direction: 'ascending' }}
      />
    </>
  );
}

export function VolumeList() {
  const query = useLiveList('volumes');
  const open = useOpenDialog();
  return (
    <>
      <PageHead title="Volumes">
        <Button onClick={() => open({ kind: 'create' })}>Create volume</Button>
      </PageHead>
      <ListState noun="volumes" query={query} empty={<Text>There are no volumes yet. Create the first one.</Text>}>
        {(volumes) => <Rows volumes={volumes} />}
      </ListState>
    </>
  );
}
