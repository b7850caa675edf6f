/** A new volume. The API checks; what it says is shown at the field that it is about. */
import { NumberInput, Stack, TextInput } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { announce } from '../../components/announcer.ts';
import { Dialog } from '../../components/Dialog.tsx';
import { DialogButtons } from '../../components/DialogButtons.tsx';
import { ErrorNotice } from '../../components/ErrorNotice.tsx';
import { useCreateVolume } from '../../data/mutations.ts';
import { errorText } from '../../data/rest-client.ts';
import { fieldOfMessage, type VolumeField } from './field-of-message.ts';

const REPLICAS_SUGGESTED = 3;

export function CreateDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [size, setSize] = useState('2Gi');
  const [replicas, setReplicas] = useState<number | string>(REPLICAS_SUGGESTED);
  const create = useCreateVolume();
  const message = create.error === null ? null : errorText(create.error);
  const field = message === null ? null : fieldOfMessage(message);
  const errorAt = (one: VolumeField) => (field === one && message !== null ? { error: message } : {});

  function submit(event: FormEvent): void {
    event.preventDefault();
    create.mutate(
      { name: name.trim(), size: size.trim(), numberOfReplicas: Number(replicas) },
      {
        onSuccess: () => {
          announce(`Volume ${name.trim()} is created`);
          onClose();
        },
        onError: (error) => {
          const at = fieldOfMessage(errorText(error));
          if (at !== null) document.getElementById(`create-${at}`)?.focus();
        },
      },
    );
  }

  return (
    <Dialog title="Create a volume" onClose={onClose}>
      <form onSubmit={submit} noValidate>
        <Stack gap="md">
          {message !== null && field === null && <ErrorNotice title="The volume was not created" error={message} />}
          <TextInput
            id="create-name"
            label="Name"
            description="Lower case letters, digits and dashes"
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
            data-autofocus
            autoComplete="off"
            {...errorAt('name')}
          />
          <TextInput
            id="create-size"
            label="Size"
            description="Such as 500Mi, 20Gi or 1Ti; rounded up to a multiple of 2 MiB"
            value={size}
            onChange={(event) => setSize(event.currentTarget.value)}
            autoComplete="off"
            {...errorAt('size')}
          />
          <NumberInput
            id="create-numberOfReplicas"
            label="Replicas"
            description="Full copies of the data, each on another node where there are enough"
            value={replicas}
            onChange={setReplicas}
            min={1}
            allowDecimal={false}
            {...errorAt('numberOfReplicas')}
          />
        </Stack>
        <DialogButtons action="Create" isBusy={create.isPending} onCancel={onClose} />
      </form>
    </Dialog>
  );
}
