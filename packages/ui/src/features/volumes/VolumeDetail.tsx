/** One volume: how it is and why, its replicas and its snapshots. */
import { Alert, Button, Group, Paper, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { ListState } from '../../components/ListState.tsx';
import { PageHead } from '../../components/PageHead.tsx';
import { TextLink } from '../../components/TextLink.tsx';
import { useLiveList } from '../../data/list-and-watch.ts';
import type { Volume } from '../../data/resources.ts';
import { useOpenDialog } from './open-dialog.ts';
import { ReasonList } from './ReasonList.tsx';
import { ReplicaList } from './ReplicaList.tsx';
import { SnapshotTree } from './SnapshotTree.tsx';
import { volumeHealth, volumeReasons } from './volume-health.ts';
import { VolumeFacts } from './VolumeFacts.tsx';
import { attachRefusal, deleteRefusal, detachRefusal } from './volume-permits.ts';

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Paper withBorder p="md" component="section" aria-label={title}>
      <Title order={2} size="h4" mb="sm">
        {title}
      </Title>
      {children}
    </Paper>
  );
}

function Actions({ volume }: { volume: Volume }) {
  const open = useOpenDialog();
  const { name } = volume;
  return (
    <Group gap="xs">
      {attachRefusal(volume) === null ? (
        <Button onClick={() => open({ kind: 'attach', volume: name })}>Attach …</Button>
      ) : (
        <Button
          variant="default"
          disabled={detachRefusal(volume) !== null}
          onClick={() => open({ kind: 'detach', volume: name })}
        >
          Detach …
        </Button>
      )}
      <Button
        variant="default"
        className="menu-danger"
        disabled={deleteRefusal(volume) !== null}
        onClick={() => open({ kind: 'delete', volume: name })}
      >
        Delete …
      </Button>
    </Group>
  );
}

function Reasons({ volume }: { volume: Volume }) {
  const reasons = volumeReasons(volume);
  if (reasons.length === 0) return null;
  const { tone, label } = volumeHealth(volume);
  return (
    <Alert color={tone === 'bad' ? 'red' : 'yellow'} title={`${label}: why`} variant="light">
      <ReasonList reasons={reasons} />
    </Alert>
  );
}

function Content({ volume }: { volume: Volume }) {
  return (
    <Stack gap="md">
      <Reasons volume={volume} />
      <Section title="About">
        <VolumeFacts volume={volume} />
      </Section>
      <Section title="Replicas">
        <ReplicaList volume={volume} />
      </Section>
      <Section title="Snapshots">
        <SnapshotTree volume={volume} />
      </Section>
    </Stack>
  );
}

export function VolumeDetail({ name }: { name: string }) {
  const query = useLiveList('volumes');
  const volume = query.data?.find((one) => one.name === name);
  return (
    <>
      <TextLink to="/volumes" size="sm">
        ← All volumes
      </TextLink>
      <PageHead title={name}>{volume !== undefined && <Actions volume={volume} />}</PageHead>
      <ListState noun="volumes" query={query} empty={<Text>There is no volume {name}.</Text>}>
        {() =>
          volume === undefined ? <Text role="status">There is no volume {name}.</Text> : <Content volume={volume} />
        }
      </ListState>
    </>
  );
}
