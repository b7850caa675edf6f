/**
 * Which dialog about which volume is open. It lives above the lists: a row that is scrolled away or sorted elsewhere must not
 * take the question along.
 */
import { createContext, useContext } from 'react';

export type VolumeDialog =
  | { kind: 'create' }
  | { kind: 'attach' | 'detach' | 'delete'; volume: string }
  | { kind: 'delete-snapshot' | 'revert-snapshot'; volume: string; snapshot: string };

export const OpenDialogContext = createContext<((dialog: VolumeDialog) => void) | null>(null);

/** Opens a dialog. */
export function useOpenDialog(): (dialog: VolumeDialog) => void {
  const open = useContext(OpenDialogContext);
  if (open === null) throw new Error('no VolumeDialogs around this component');
  return open;
}
