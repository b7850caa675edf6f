/** Columns of the list of volumes. */
import { Text } from '@mantine/core';
import type { Column } from '../../components/column.ts';
import { StatusLabel } from '../../components/StatusLabel.tsx';
import { TextLink } from '../../components/TextLink.tsx';
import { actualSizeBytes, attachedNode, type Volume } from '../../data/resources.ts';
import { percent, sizeText } from '../../text/size-text.ts';
import { ReasonList } from './ReasonList.tsx';
import {
  healthyReplicaCount,
  replicaHealth,
  replicasByNode,
  replicaSummary,
  volumeHealth,
  volumeReasons,
} from './volume-health.ts';
import { isInMaintenance } from './volume-permits.ts';
import { VolumeMenu } from './VolumeMenu.tsx';

/** What needs care comes first. */
const TONE_ORDER = ['bad', 'warn', 'busy', 'idle', 'good'];

function HealthCell({ volume }: { volume: Volume }) {
  const reasons = volumeReasons(volume);
  return (
    <>
      <StatusLabel health={volumeHealth(volume)} />
      {isInMaintenance(volume) && (
        <Text size="sm" c="dimmed">
          Maintenance mode
        </Text>
      )}
      {reasons.length > 0 && <ReasonList reasons={reasons} />}
    </>
  );
}

function ReplicaCell({ volume }: { volume: Volume }) {
  return (
    <>
      <Text size="sm">{replicaSummary(volume)}</Text>
      <ul className="plain-list" aria-label="Replicas per node">
        {replicasByNode(volume.replicas).map(([node, replicas]) => (
          <li key={node} className="replica-line">
            <span>{node === '' ? 'no node' : node}</span>
            {replicas.map((replica) => (
              <StatusLabel key={replica.name} health={replicaHealth(replica, volume)} />
            ))}
          </li>
        ))}
      </ul>
    </>
  );
}

export const volumeColumns: readonly Column<Volume>[] = [
  {
    id: 'name',
    label: 'Name',
    width: 'minmax(9rem, 1.4fr)',
    getValue: ({ name }) => name,
    render: ({ name }) => (
      <TextLink to="/volumes/$name" params={{ name }}>
        {name}
      </TextLink>
    ),
  },
  {
    id: 'health',
    label: 'State',
    width: 'minmax(11rem, 2.4fr)',
    getValue: (volume) => TONE_ORDER.indexOf(volumeHealth(volume).tone),
    render: (volume) => <HealthCell volume={volume} />,
  },
  {
    id: 'size',
    label: 'Size',
    width: '6rem',
    getValue: ({ size }) => Number(size),
    render: ({ size }) => sizeText(Number(size)),
  },
  {
    id: 'used',
    label: 'Used',
    width: '8rem',
    getValue: actualSizeBytes,
    render: (volume) =>
      volume.controllers.length === 0 ? (
        <Text size="sm" c="dimmed">
          not known
        </Text>
      ) : (
        `${sizeText(actualSizeBytes(volume))} (${Math.round(percent(actualSizeBytes(volume), Number(volume.size)))} %)`
      ),
  },
  {
    id: 'node',
    label: 'Attached to',
    width: 'minmax(7rem, 1fr)',
    getValue: attachedNode,
    render: (volume) => attachedNode(volume) || <span aria-label="no node">–</span>,
  },
  {
    id: 'replicas',
    label: 'Replicas',
    width: 'minmax(12rem, 1.6fr)',
    getValue: healthyReplicaCount,
    render: (volume) => <ReplicaCell volume={volume} />,
  },
  {
    id: 'actions',
    label: 'Actions',
    width: '5.5rem',
    getValue: null,
    render: (volume) => <VolumeMenu volume={volume} />,
  },
];
