/** Everything that the page changes. After each change the list is read again, for the case that the stream is lost. */
import { useMutation, useQueryClient, type UseMutationResult } from '@tanstack/react-query';
import { keys } from './keys.ts';
import { deleteResource, postAction, postJson, resourcePath } from './rest-client.ts';

/** The ticket of this page, as upstream's UI names it. */
export const UI_TICKET = 'longhorn-ui';

/** A new volume, as typed. */
export interface NewVolume {
  name: string;
  size: string;
  numberOfReplicas: number;
}

export interface AttachInput {
  volume: string;
  node: string;
  isMaintenance: boolean;
}

export interface DetachInput {
  volume: string;
  /** all tickets, also those of others */
  isForced: boolean;
}

export interface SnapshotInput {
  volume: string;
  snapshot: string;
}

function useChange<Input, Result = unknown>(
  change: (input: Input) => Promise<Result>,
  changed: (input: Input) => readonly (readonly string[])[] = () => [keys.list('volumes')],
): UseMutationResult<Result, Error, Input> {
  const client = useQueryClient();
  return useMutation({
    mutationFn: change,
    onSettled: async (_result, _error, input) => {
      await Promise.all(changed(input).map((queryKey) => client.invalidateQueries({ queryKey })));
    },
  });
}

const snapshotsOf = ({ volume }: { volume: string }) => [keys.list('volumes'), keys.snapshots(volume)];

/** Keys that upstream's form always sends are sent as well. */
export const useCreateVolume = () =>
  useChange((volume: NewVolume) =>
    postJson('/v1/volumes', {
      ...volume,
      frontend: 'blockdev',
      dataEngine: 'v1',
      staleReplicaTimeout: 20,
      fromBackup: '',
    }),
  );

export const useAttachVolume = () =>
  useChange(({ volume, node, isMaintenance }: AttachInput) =>
    postAction('volumes', volume, 'attach', {
      hostId: node,
      disableFrontend: isMaintenance,
      attachedBy: '',
      attacherType: '',
      attachmentID: UI_TICKET,
    }),
  );

export const useDetachVolume = () =>
  useChange(({ volume, isForced }: DetachInput) =>
    postAction('volumes', volume, 'detach', { forceDetach: isForced, attachmentID: UI_TICKET, hostId: '' }),
  );

export const useDeleteVolume = () => useChange((volume: string) => deleteResource(resourcePath('volumes', volume)));

export const useTakeSnapshot = () =>
  useChange(({ volume }: { volume: string }) => postAction('volumes', volume, 'snapshotCreate', {}), snapshotsOf);

/** Marks the snapshot as removed, then has the space of what is removed given back. */
export const useDeleteSnapshot = () =>
  useChange(async ({ volume, snapshot }: SnapshotInput) => {
    await postAction('volumes', volume, 'snapshotDelete', { name: snapshot });
    await postAction('volumes', volume, 'snapshotPurge', {});
  }, snapshotsOf);

export const useRevertSnapshot = () =>
  useChange(
    ({ volume, snapshot }: SnapshotInput) => postAction('volumes', volume, 'snapshotRevert', { name: snapshot }),
    snapshotsOf,
  );
