/** Detaches a volume: gives this page's ticket back, or all tickets. */
import { Alert, Checkbox, List, Stack, Text } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { announce } from '../../components/announcer.ts';
import { Dialog } from '../../components/Dialog.tsx';
import { DialogButtons } from '../../components/DialogButtons.tsx';
import { ErrorNotice } from '../../components/ErrorNotice.tsx';
import { UI_TICKET, useDetachVolume } from '../../data/mutations.ts';
import type { Volume } from '../../data/resources.ts';

export function DetachDialog({ volume, onClose }: { volume: Volume; onClose: () => void }) {
  const detach = useDetachVolume();
  const tickets = Object.values(volume.volumeAttachment.attachments);
  const others = tickets.filter(({ attachmentID }) => attachmentID !== UI_TICKET);
  const isOnlyOthers = others.length > 0 && others.length === tickets.length;
  const [isForced, setForced] = useState(false);

  function submit(event: FormEvent): void {
    event.preventDefault();
    detach.mutate(
      { volume: volume.name, isForced },
      {
        onSuccess: () => {
          announce(`Volume ${volume.name} is asked to detach`);
          onClose();
        },
      },
    );
  }

  return (
    <Dialog title={`Detach ${volume.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {detach.error !== null && <ErrorNotice title="The volume was not detached" error={detach.error} />}
          <Text>Unmount its file system first. What programs have not flushed is lost.</Text>
          {others.length > 0 && (
            <Alert color="yellow" title="Others hold the volume attached">
              <List size="sm">
                {others.map(({ attachmentID, attachmentType, nodeID }) => (
                  <List.Item key={attachmentID}>
                    {attachmentType || 'unknown'} on {nodeID || 'no node'} (ticket{' '}
                    {attachmentID === '' ? 'without a name' : attachmentID})
                  </List.Item>
                ))}
              </List>
            </Alert>
          )}
          {others.length > 0 && (
            <Checkbox
              label="Take the tickets of the others away too"
              description="Workloads that use the volume lose it."
              checked={isForced}
              onChange={(event) => setForced(event.currentTarget.checked)}
            />
          )}
        </Stack>
        <DialogButtons
          action="Detach"
          isBusy={detach.isPending}
          isDisabled={isOnlyOthers && !isForced}
          isDangerous={isForced}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
