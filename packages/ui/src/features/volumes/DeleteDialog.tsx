/** Deletes a volume with all its data, after its name was typed. */
import { Stack, Text, TextInput } from '@mantine/core';
import { useNavigate, useRouterState } from '@tanstack/react-router';
import { useState, type FormEvent } from 'react';
import { announce } from '../../components/announcer.ts';
import { Dialog } from '../../components/Dialog.tsx';
import { DialogButtons } from '../../components/DialogButtons.tsx';
import { ErrorNotice } from '../../components/ErrorNotice.tsx';
import { useDeleteVolume } from '../../data/mutations.ts';
import { attachedNode, type Volume } from '../../data/resources.ts';

function usedBy({ kubernetesStatus }: Volume): string[] {
  const { pvName, pvcName, namespace, workloadsStatus } = kubernetesStatus;
  return [
    ...(pvName === '' ? [] : [`persistent volume ${pvName}`]),
    ...(pvcName === '' ? [] : [`claim ${namespace}/${pvcName}`]),
    ...workloadsStatus.map(({ podName }) => `pod ${podName}`),
  ];
}

export function DeleteDialog({ volume, onClose }: { volume: Volume; onClose: () => void }) {
  const remove = useDeleteVolume();
  const navigate = useNavigate();
  const path = useRouterState({ select: (state) => state.location.pathname });
  const [typed, setTyped] = useState('');
  const users = usedBy(volume);
  const node = attachedNode(volume);

  function submit(event: FormEvent): void {
    event.preventDefault();
    if (typed !== volume.name) return;
    remove.mutate(volume.name, {
      onSuccess: () => {
        announce(`Volume ${volume.name} is being deleted`);
        onClose();
        if (path.startsWith('/volumes/')) void navigate({ to: '/volumes' });
      },
    });
  }

  return (
    <Dialog title={`Delete ${volume.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {remove.error !== null && <ErrorNotice title="The volume was not deleted" error={remove.error} />}
          <Text>All its replicas and snapshots are deleted. This cannot be undone.</Text>
          {volume.state !== 'detached' && node !== '' && <Text fw={600}>It is attached to {node} now.</Text>}
          {users.length > 0 && <Text fw={600}>It is used by {users.join(', ')}.</Text>}
          <TextInput
            label={
              <>
                Type <strong>{volume.name}</strong> to confirm
              </>
            }
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            data-autofocus
            autoComplete="off"
            spellCheck={false}
          />
        </Stack>
        <DialogButtons
          action="Delete"
          isBusy={remove.isPending}
          isDisabled={typed !== volume.name}
          isDangerous
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
