/** Attaches a volume to a node. */
import { Checkbox, NativeSelect, Stack } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { announce } from '../../components/announcer.ts';
import { Dialog } from '../../components/Dialog.tsx';
import { DialogButtons } from '../../components/DialogButtons.tsx';
import { ErrorNotice } from '../../components/ErrorNotice.tsx';
import { useLiveList } from '../../data/list-and-watch.ts';
import { useAttachVolume } from '../../data/mutations.ts';
import type { Volume } from '../../data/resources.ts';

export function AttachDialog({ volume, onClose }: { volume: Volume; onClose: () => void }) {
  const nodes = useLiveList('nodes');
  const attach = useAttachVolume();
  const ready = (nodes.data ?? []).filter(({ conditions }) => conditions['Ready']?.status === 'True');
  const [chosen, setChosen] = useState<string | null>(null);
  const [isMaintenance, setMaintenance] = useState(false);
  const node = chosen ?? ready[0]?.name ?? '';

  function submit(event: FormEvent): void {
    event.preventDefault();
    attach.mutate(
      { volume: volume.name, node, isMaintenance },
      {
        onSuccess: () => {
          announce(`Volume ${volume.name} is being attached to ${node}`);
          onClose();
        },
      },
    );
  }

  return (
    <Dialog title={`Attach ${volume.name}`} onClose={onClose}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {nodes.error !== null && <ErrorNotice title="The nodes cannot be read" error={nodes.error} />}
          {attach.error !== null && <ErrorNotice title="The volume was not attached" error={attach.error} />}
          <NativeSelect
            label="Node"
            description={ready.length === 0 ? 'No node is ready' : 'Nodes that are ready'}
            value={node}
            data={ready.map(({ name }) => name)}
            onChange={(event) => setChosen(event.currentTarget.value)}
            data-autofocus
          />
          <Checkbox
            label="Maintenance mode"
            description="Without a device: nothing can use the volume. Needed to revert it to a snapshot."
            checked={isMaintenance}
            onChange={(event) => setMaintenance(event.currentTarget.checked)}
          />
        </Stack>
        <DialogButtons action="Attach" isBusy={attach.isPending} isDisabled={node === ''} onCancel={onClose} />
      </form>
    </Dialog>
  );
}
