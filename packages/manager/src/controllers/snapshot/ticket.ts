/** The tickets that keep a volume attached while a snapshot of it is taken or removed. */
import { attachmentTicketId, type VolumeAttachment } from '@longhorn/shared-types';

type Ticket = VolumeAttachment['spec']['attachmentTickets'][string];

export const SNAPSHOT_TICKET_TYPE = 'snapshot-controller';
/** A longer ID would have been cut. */
const ID_LENGTH_MAX = 253;

export function snapshotTicketId(snapshot: string): string {
  return attachmentTicketId(SNAPSHOT_TICKET_TYPE, snapshot);
}

/** Name of the snapshot that a ticket is for; null for a ticket of another kind, and for one whose ID does not tell. */
export function snapshotOfTicket({ id, type }: Pick<Ticket, 'id' | 'type'>): string | null {
  const prefix = snapshotTicketId('');
  return type === SNAPSHOT_TICKET_TYPE &&
    id.startsWith(prefix) &&
    id.length > prefix.length &&
    id.length < ID_LENGTH_MAX
    ? id.slice(prefix.length)
    : null;
}
