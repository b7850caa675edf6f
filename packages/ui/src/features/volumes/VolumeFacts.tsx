/** What there is to know about a volume, in pairs. */
import { List, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { StatusLabel } from '../../components/StatusLabel.tsx';
import { useNow } from '../../components/use-now.ts';
import { actualSizeBytes, attachedNode, currentController, type Volume } from '../../data/resources.ts';
import { sizeText } from '../../text/size-text.ts';
import { ageText } from '../../text/time-text.ts';
import { volumeHealth } from './volume-health.ts';
import { isInMaintenance } from './volume-permits.ts';

function ConditionList({ volume }: { volume: Volume }) {
  const conditions = Object.values(volume.conditions).filter(({ type }) => type !== '');
  if (conditions.length === 0) return <Text c="dimmed">none</Text>;
  return (
    <List size="sm" listStyleType="none">
      {conditions.map(({ type, status, reason, message }) => (
        <List.Item key={type}>
          {type}: {status}
          {(message || reason) !== '' && ` (${message || reason})`}
        </List.Item>
      ))}
    </List>
  );
}

export function VolumeFacts({ volume }: { volume: Volume }) {
  const nowMs = useNow();
  const controller = currentController(volume);
  const facts: [string, ReactNode][] = [
    ['State', <StatusLabel key="state" health={volumeHealth(volume)} />],
    ['Mode', isInMaintenance(volume) ? 'Maintenance: without a device' : 'Normal'],
    ['Attached to', attachedNode(volume) || 'no node'],
    ['Device', controller?.endpoint || 'none'],
    ['Size', sizeText(Number(volume.size))],
    ['Used', controller === null ? 'not known' : sizeText(actualSizeBytes(volume))],
    ['Replicas wanted', volume.numberOfReplicas],
    ['Ready for workloads', volume.ready ? 'yes' : 'no'],
    ['Data locality', volume.dataLocality],
    ['Access mode', volume.accessMode],
    ['Created', ageText(volume.created, nowMs)],
    ['Engine image', volume.currentImage || volume.image],
    ['Conditions', <ConditionList key="conditions" volume={volume} />],
  ];
  return (
    <dl className="facts">
      {facts.map(([label, value]) => (
        <div key={label} style={{ display: 'contents' }}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
