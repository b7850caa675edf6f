/** Replicas of a volume, with their places. */
import { Paper, Progress, SimpleGrid, Text } from '@mantine/core';
import { StatusLabel } from '../../components/StatusLabel.tsx';
import type { Replica, Volume } from '../../data/resources.ts';
import { replicaHealth } from './volume-health.ts';

function ReplicaCard({ replica, volume }: { replica: Replica; volume: Volume }) {
  const rebuild = volume.rebuildStatus.find((status) => status.replica === replica.name);
  const blocker = volume.blockedBy.find(({ name }) => name === replica.name);
  return (
    <Paper withBorder p="sm" component="li" data-replica={replica.name}>
      <StatusLabel health={replicaHealth(replica, volume)} />
      <Text fw={600} style={{ overflowWrap: 'anywhere' }}>
        {replica.name}
      </Text>
      <Text size="sm">{replica.hostId === '' ? 'No node yet' : `On ${replica.hostId}`}</Text>
      <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
        {replica.dataPath}
      </Text>
      {rebuild?.isRebuilding === true && (
        <>
          <Text size="sm">Copied from {rebuild.fromReplica}</Text>
          <Progress value={rebuild.progress} aria-label={`Rebuild of ${replica.name}`} mt={4} />
        </>
      )}
      {rebuild !== undefined && rebuild.error !== '' && (
        <Text size="sm" className="server-words">
          Rebuild failed: {rebuild.error}
        </Text>
      )}
      {blocker !== undefined && (
        <Text size="sm" className="server-words">
          {blocker.reason}
          {blocker.next === '' ? '' : `. Next: ${blocker.next}`}
        </Text>
      )}
    </Paper>
  );
}

export function ReplicaList({ volume }: { volume: Volume }) {
  if (volume.replicas.length === 0) return <Text c="dimmed">No replicas yet.</Text>;
  return (
    <SimpleGrid component="ul" className="plain-list" cols={{ base: 1, sm: 2, lg: 3 }} spacing="sm">
      {volume.replicas.map((replica) => (
        <ReplicaCard key={replica.name} replica={replica} volume={volume} />
      ))}
    </SimpleGrid>
  );
}
