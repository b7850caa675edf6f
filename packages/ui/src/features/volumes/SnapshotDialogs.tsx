/** Questions before a snapshot is deleted or a volume goes back to one. */
import { Stack, Text } from '@mantine/core';
import type { FormEvent, ReactNode } from 'react';
import { announce } from '../../components/announcer.ts';
import { Dialog } from '../../components/Dialog.tsx';
import { DialogButtons } from '../../components/DialogButtons.tsx';
import { ErrorNotice } from '../../components/ErrorNotice.tsx';
import { useDeleteSnapshot, useRevertSnapshot } from '../../data/mutations.ts';
import type { Volume } from '../../data/resources.ts';

interface SnapshotDialogProps {
  volume: Volume;
  snapshot: string;
  onClose: () => void;
}

interface QuestionProps {
  title: string;
  action: string;
  failure: string;
  change: ReturnType<typeof useDeleteSnapshot> | ReturnType<typeof useRevertSnapshot>;
  done: string;
  children: ReactNode;
}

function Question({
  volume,
  snapshot,
  onClose,
  title,
  action,
  failure,
  change,
  done,
  children,
}: QuestionProps & SnapshotDialogProps) {
  function submit(event: FormEvent): void {
    event.preventDefault();
    change.mutate(
      { volume: volume.name, snapshot },
      {
        onSuccess: () => {
          announce(done);
          onClose();
        },
      },
    );
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {change.error !== null && <ErrorNotice title={failure} error={change.error} />}
          {children}
        </Stack>
        <DialogButtons action={action} isBusy={change.isPending} isDangerous onCancel={onClose} />
      </form>
    </Dialog>
  );
}

export function DeleteSnapshotDialog(props: SnapshotDialogProps) {
  return (
    <Question
      {...props}
      title="Delete a snapshot"
      action="Delete snapshot"
      failure="The snapshot was not deleted"
      change={useDeleteSnapshot()}
      done={`Snapshot ${props.snapshot} is being deleted`}
    >
      <Text>
        Snapshot <strong>{props.snapshot}</strong> of {props.volume.name} is deleted and its space given back. The
        volume’s present content stays as it is.
      </Text>
    </Question>
  );
}

export function RevertSnapshotDialog(props: SnapshotDialogProps) {
  return (
    <Question
      {...props}
      title="Revert to a snapshot"
      action="Revert"
      failure="The volume was not reverted"
      change={useRevertSnapshot()}
      done={`Volume ${props.volume.name} is reverted to snapshot ${props.snapshot}`}
    >
      <Text>
        {props.volume.name} gets the content of snapshot <strong>{props.snapshot}</strong>. What was written since the
        newest snapshot is lost; take one first to keep it.
      </Text>
    </Question>
  );
}
