/** Shows the dialog that is open. One for a volume that went away closes by itself. */
import { useCallback, useState, type ReactNode } from 'react';
import { useLiveList } from '../../data/list-and-watch.ts';
import { AttachDialog } from './AttachDialog.tsx';
import { CreateDialog } from './CreateDialog.tsx';
import { DeleteDialog } from './DeleteDialog.tsx';
import { DetachDialog } from './DetachDialog.tsx';
import { OpenDialogContext, type VolumeDialog } from './open-dialog.ts';
import { DeleteSnapshotDialog, RevertSnapshotDialog } from './SnapshotDialogs.tsx';

function OpenDialog({ dialog, onClose }: { dialog: VolumeDialog; onClose: () => void }) {
  const volumes = useLiveList('volumes');
  if (dialog.kind === 'create') return <CreateDialog onClose={onClose} />;
  const volume = volumes.data?.find(({ name }) => name === dialog.volume);
  if (volume === undefined) return null;
  switch (dialog.kind) {
    case 'attach':
      return <AttachDialog volume={volume} onClose={onClose} />;
    case 'detach':
      return <DetachDialog volume={volume} onClose={onClose} />;
    case 'delete':
      return <DeleteDialog volume={volume} onClose={onClose} />;
    case 'delete-snapshot':
      return <DeleteSnapshotDialog volume={volume} snapshot={dialog.snapshot} onClose={onClose} />;
    case 'revert-snapshot':
      return <RevertSnapshotDialog volume={volume} snapshot={dialog.snapshot} onClose={onClose} />;
  }
}

export function VolumeDialogs({ children }: { children: ReactNode }) {
  const [dialog, setDialog] = useState<VolumeDialog | null>(null);
  const close = useCallback(() => setDialog(null), []);
  return (
    <OpenDialogContext value={setDialog}>
      {children}
      {dialog !== null && <OpenDialog dialog={dialog} onClose={close} />}
    </OpenDialogContext>
  );
}
