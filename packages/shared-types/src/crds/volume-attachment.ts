/** Custom resource VolumeAttachment: who wants a volume attached where, as tickets. */
import type { Static } from 'typebox';
import { defineKind } from './define-kind.ts';
import type { KubernetesObject } from './kubernetes-object.ts';
import { conditions, flag, int64, map, object, text } from './schema-fragments.ts';

const spec = object(
  {
    attachmentTickets: map(
      object(
        {
          generation: int64('Raised with every change of the ticket.'),
          id: text('Key of the ticket.'),
          nodeID: text('Node to attach to.'),
          parameters: map(text(''), 'disableFrontend (true, false or any) and lastAttachedBy.'),
          type: text('Who asks, such as longhorn-api or csi-attacher; decides who wins.'),
        },
        'One entry.',
      ),
      'Tickets by id.',
    ),
    volume: text('Volume to attach. Cannot be changed.', { required: true }),
  },
  'What is wanted.',
);

const status = object(
  {
    attachmentTicketStatuses: map(
      object(
        {
          conditions: conditions('Whether the ticket is satisfied, and why not.', { required: true, nullable: true }),
          generation: int64('Generation of the ticket that this is about.'),
          id: text('Key of the ticket.'),
          satisfied: flag('Attached as the ticket asks.', { required: true }),
        },
        'One entry.',
      ),
      'State of each ticket, by id.',
    ),
  },
  'What is.',
);

/** Names, columns and schema of VolumeAttachment. */
export const volumeAttachmentKind = defineKind({
  kind: 'VolumeAttachment',
  plural: 'volumeattachments',
  shortName: 'lhva',
  description: 'Who wants a volume attached where, as tickets.',
  hasFinalizer: true,
  columns: [['Age', 'date', '.metadata.creationTimestamp']],
  fields: { spec, status },
});

/** Wanted state of a VolumeAttachment. */
export type VolumeAttachmentSpec = Static<typeof spec>;
/** Observed state of a VolumeAttachment. */
export type VolumeAttachmentStatus = Static<typeof status>;
/** Who wants a volume attached where, as tickets. */
export type VolumeAttachment = KubernetesObject<VolumeAttachmentSpec, VolumeAttachmentStatus, 'VolumeAttachment'>;
