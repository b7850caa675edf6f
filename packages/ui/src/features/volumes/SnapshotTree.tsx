/** Snapshots of a volume: take, delete, revert. */
import { Button, Checkbox, Group, Loader, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { announce } from '../../components/announcer.ts';
import { ErrorNotice } from '../../components/ErrorNotice.tsx';
import { useNow } from '../../components/use-now.ts';
import { useTakeSnapshot } from '../../data/mutations.ts';
import type { Volume } from '../../data/resources.ts';
import { useSnapshots } from '../../data/snapshots.ts';
import { sizeText } from '../../text/size-text.ts';
import { ageText } from '../../text/time-text.ts';
import { useOpenDialog } from './open-dialog.ts';
import { HEAD, snapshotTree, type TreeRow } from './snapshot-tree.ts';
import { deleteSnapshotRefusal, revertRefusal, revertToRefusal, takeSnapshotRefusal } from './volume-permits.ts';
import './SnapshotTree.css';

function SnapshotFacts({ row }: { row: TreeRow }) {
  const nowMs = useNow();
  const { snapshot, isHead } = row;
  const kind = snapshot.removed ? 'being removed' : snapshot.usercreated ? '' : 'made by the system';
  return (
    <div className="snapshot-facts">
      <strong>{isHead ? 'Volume now' : snapshot.name}</strong>
      <Text span size="sm" c="dimmed">
        {sizeText(Number(snapshot.size))}
        {!isHead && `, ${ageText(snapshot.created, nowMs)}`}
        {!isHead && kind !== '' && `, ${kind}`}
      </Text>
    </div>
  );
}

function SnapshotRow({ row, volume }: { row: TreeRow; volume: Volume }) {
  const open = useOpenDialog();
  const { snapshot, level, isHead, isLive } = row;
  const cannotRevert = revertToRefusal(volume, snapshot);
  return (
    <li className="snapshot-row" data-live={isLive} data-snapshot={snapshot.name} style={{ '--tree-level': level }}>
      <SnapshotFacts row={row} />
      {!isHead && (
        <Group gap="xs">
          <Button
            size="compact-sm"
            variant="default"
            disabled={cannotRevert !== null}
            aria-label={`Revert to ${snapshot.name}`}
            aria-describedby={cannotRevert === null || snapshot.removed ? undefined : 'revert-refusal'}
            onClick={() => open({ kind: 'revert-snapshot', volume: volume.name, snapshot: snapshot.name })}
          >
            Revert
          </Button>
          <Button
            size="compact-sm"
            variant="default"
            disabled={deleteSnapshotRefusal(volume) !== null}
            aria-label={`Delete ${snapshot.name}`}
            onClick={() => open({ kind: 'delete-snapshot', volume: volume.name, snapshot: snapshot.name })}
          >
            Delete
          </Button>
        </Group>
      )}
    </li>
  );
}

function Rows({ volume, showsAll }: { volume: Volume; showsAll: boolean }) {
  const snapshots = useSnapshots(volume);
  if (snapshots.data === undefined) {
    if (snapshots.error !== null) {
      return (
        <ErrorNotice
          title="The snapshots cannot be read"
          error={snapshots.error}
          onRetry={() => void snapshots.refetch()}
        />
      );
    }
    return snapshots.isFetching ? (
      <Group role="status">
        <Loader size="sm" aria-hidden="true" />
        Reading the snapshots …
      </Group>
    ) : (
      <Text c="dimmed">The snapshots are shown while the volume is attached.</Text>
    );
  }
  const rows = snapshotTree(snapshots.data, showsAll);
  const refusal = rows.some(({ isHead }) => !isHead) ? revertRefusal(volume) : null;
  return (
    <Stack gap="xs">
      {snapshots.error !== null && <ErrorNotice title="The snapshots cannot be read again" error={snapshots.error} />}
      {rows.every(({ snapshot }) => snapshot.name === HEAD) && <Text c="dimmed">No snapshots yet.</Text>}
      <ul className="plain-list" aria-label="Snapshots, oldest first">
        {rows.map((row) => (
          <SnapshotRow key={row.snapshot.name} row={row} volume={volume} />
        ))}
      </ul>
      {refusal !== null && (
        <Text size="sm" id="revert-refusal">
          Revert: {refusal}
        </Text>
      )}
    </Stack>
  );
}

export function SnapshotTree({ volume }: { volume: Volume }) {
  const [showsAll, setShowsAll] = useState(false);
  const take = useTakeSnapshot();
  const refusal = takeSnapshotRefusal(volume);
  return (
    <Stack gap="md">
      <Group gap="md">
        <Button
          size="sm"
          disabled={refusal !== null}
          loading={take.isPending}
          aria-describedby={refusal === null ? undefined : 'take-refusal'}
          onClick={() =>
            take.mutate({ volume: volume.name }, { onSuccess: () => announce(`A snapshot of ${volume.name} is taken`) })
          }
        >
          Take snapshot
        </Button>
        <Checkbox
          label="Show system snapshots"
          checked={showsAll}
          onChange={(event) => setShowsAll(event.currentTarget.checked)}
        />
      </Group>
      {refusal !== null && (
        <Text size="sm" id="take-refusal">
          {refusal}
        </Text>
      )}
      {take.error !== null && <ErrorNotice title="No snapshot was taken" error={take.error} />}
      <Rows volume={volume} showsAll={showsAll} />
    </Stack>
  );
}
