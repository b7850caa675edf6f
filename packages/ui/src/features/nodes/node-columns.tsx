/** Columns of the list of nodes; a node's disks are in its row. */
import { Text } from '@mantine/core';
import type { Column } from '../../components/column.ts';
import { Gauge } from '../../components/Gauge.tsx';
import { StatusLabel } from '../../components/StatusLabel.tsx';
import type { Disk, Node } from '../../data/resources.ts';
import { diskHealth, nodeHealth, replicaCount, space, troubles } from './node-health.ts';

const disksOf = (node: Node): Disk[] => Object.values(node.disks);

function Troubles({ conditions }: { conditions: Node['conditions'] | Disk['conditions'] }) {
  return troubles(conditions).map((sentence) => (
    <p key={sentence} className="reason">
      {sentence}
    </p>
  ));
}

function DiskEntry({ name, disk, node }: { name: string; disk: Disk; node: Node }) {
  const { usedBytes, maximumBytes } = space([disk]);
  return (
    <li className="disk-entry">
      <StatusLabel health={diskHealth(disk, node)} />
      <Text size="sm" fw={600}>
        {name}
      </Text>
      <Text size="sm" c="dimmed">
        {disk.path} ({disk.diskType || 'filesystem'})
      </Text>
      <Gauge
        label={`Used of disk ${name} of ${node.name}`}
        word="used"
        usedBytes={usedBytes}
        wholeBytes={maximumBytes}
      />
      <Troubles conditions={disk.conditions} />
    </li>
  );
}

export const nodeColumns: readonly Column<Node>[] = [
  {
    id: 'name',
    label: 'Name',
    width: 'minmax(9rem, 1fr)',
    getValue: ({ name }) => name,
    render: ({ name, address, zone }) => (
      <>
        <Text fw={600}>{name}</Text>
        <Text size="sm" c="dimmed">
          {address || 'no manager runs there'}
          {zone === '' ? '' : `, zone ${zone}`}
        </Text>
      </>
    ),
  },
  {
    id: 'state',
    label: 'State',
    width: 'minmax(10rem, 1.4fr)',
    getValue: (node) => nodeHealth(node).label,
    render: (node) => (
      <>
        <StatusLabel health={nodeHealth(node)} />
        <Troubles conditions={node.conditions} />
      </>
    ),
  },
  {
    id: 'replicas',
    label: 'Replicas',
    width: '5.5rem',
    getValue: (node) => replicaCount(disksOf(node)),
    render: (node) => replicaCount(disksOf(node)),
  },
  {
    id: 'allocated',
    label: 'Allocated',
    width: 'minmax(10rem, 1fr)',
    getValue: (node) => space(disksOf(node)).scheduledBytes,
    render: (node) => {
      const { scheduledBytes, usableBytes } = space(disksOf(node));
      return <Gauge label={`Allocated on ${node.name}`} word="" usedBytes={scheduledBytes} wholeBytes={usableBytes} />;
    },
  },
  {
    id: 'disks',
    label: 'Disks',
    width: 'minmax(14rem, 1.8fr)',
    getValue: null,
    render: (node) =>
      disksOf(node).length === 0 ? (
        <Text c="dimmed">No disks</Text>
      ) : (
        <ul className="plain-list">
          {Object.entries(node.disks).map(([name, disk]) => (
            <DiskEntry key={name} name={name} disk={disk} node={node} />
          ))}
        </ul>
      ),
  },
];
