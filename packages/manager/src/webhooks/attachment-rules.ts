/** Rules for volume attachments and snapshots: what hangs on a volume. */
import { isDeepStrictEqual } from 'node:util';
import {
  LABEL,
  objectNameProblem,
  type ObjectMeta,
  type Snapshot,
  type VolumeAttachment,
} from '@longhorn/shared-types';
import type { AdmissionFacts } from './admission-facts.ts';
import { isJsonObject, objectAt, peekObject, textAt, type JsonObject } from './json-object.ts';
import { AdmissionError, invalid, type Problem } from './problem.ts';
import { addFinalizer, setOwner, setVolumeLabel } from './shared-mutations.ts';

/** Changes a new object that belongs to a volume in place. Throws when there is no such volume. */
export function mutateNewPartOfVolume(object: JsonObject, facts: AdmissionFacts): void {
  addFinalizer(object);
  const name = textAt(peekObject(object, 'spec'), 'volume');
  if (facts.volume === null) {
    const message =
      name === '' ? 'spec.volume is required' : `failed to get volume ${name}: volume ${name} does not exist`;
    throw new AdmissionError([invalid('spec.volume', message)]);
  }
  setVolumeLabel(object, name);
  setOwner(object, 'Volume', facts.volume.metadata);
}

/** Changes an updated attachment in place: a ticket that changes gets a new generation. */
export function mutateUpdatedAttachment(object: JsonObject, old: JsonObject): void {
  addFinalizer(object);
  const tickets = objectAt(objectAt(object, 'spec'), 'attachmentTickets');
  const oldTickets = peekObject(peekObject(old, 'spec'), 'attachmentTickets');
  const statuses = peekObject(peekObject(old, 'status'), 'attachmentTicketStatuses');
  for (const [id, ticket] of Object.entries(tickets)) {
    if (!isJsonObject(ticket)) continue;
    const before = oldTickets[id];
    const status = statuses[id];
    if (before === undefined) {
      if (isJsonObject(status)) ticket['generation'] = generationOf(status) + 1;
    } else if (!isDeepStrictEqual(before, ticket)) {
      ticket['generation'] = generationOf(ticket) + 1;
    }
    if (generationOf(ticket) < 0) ticket['generation'] = 0;
  }
}

function generationOf(value: JsonObject): number {
  const { generation } = value;
  return typeof generation === 'number' && Number.isSafeInteger(generation) ? generation : 0;
}

function validateTickets(attachment: VolumeAttachment, old: VolumeAttachment | null, facts: AdmissionFacts): Problem[] {
  return Object.entries(attachment.spec.attachmentTickets).flatMap(([key, ticket]) => {
    if (ticket.id !== key) {
      return [
        invalid(
          'spec.attachmentTickets',
          `the attachmentTickets map contains inconsistent attachment ticket ID: ${key} vs ${ticket.id}`,
        ),
      ];
    }
    const isNew = old?.spec.attachmentTickets[key]?.nodeID !== ticket.nodeID;
    if (!isNew || facts.nodeNames.includes(ticket.nodeID)) return [];
    const known = facts.nodeNames.toSorted().slice(0, 10).join(', ');
    return [
      invalid(
        `spec.attachmentTickets[${key}].nodeID`,
        `node ${JSON.stringify(ticket.nodeID)} of attachment ticket ${JSON.stringify(key)} does not exist, use one of ${known}`,
      ),
    ];
  });
}

function validateFixed(kind: string, now: ObjectMeta, old: ObjectMeta): Problem[] {
  const problems: Problem[] = [];
  if (old.ownerReferences.length > 0 && !isDeepStrictEqual(now.ownerReferences, old.ownerReferences)) {
    problems.push(invalid('metadata.ownerReferences', `${kind} OwnerReferences field is immutable`));
  }
  const label = old.labels[LABEL.volume];
  if (label !== undefined && now.labels[LABEL.volume] !== label) {
    problems.push(invalid('metadata.labels', `label ${LABEL.volume} is immutable`));
  }
  return problems;
}

/** What is wrong with a new attachment. */
export function validateNewAttachment(attachment: VolumeAttachment, facts: AdmissionFacts): Problem[] {
  return validateTickets(attachment, null, facts);
}

/** What is wrong with the change of an attachment. */
export function validateUpdatedAttachment(
  attachment: VolumeAttachment,
  old: VolumeAttachment,
  facts: AdmissionFacts,
): Problem[] {
  const problems = [
    ...validateTickets(attachment, old, facts),
    ...validateFixed("VolumeAttachment's", attachment.metadata, old.metadata),
  ];
  if (attachment.spec.volume !== old.spec.volume)
    problems.push(invalid('spec.volume', 'spec.volume field is immutable'));
  const { volume } = facts;
  const count = Object.keys(attachment.spec.attachmentTickets).length;
  if (volume?.spec.migratable === true && count > Object.keys(old.spec.attachmentTickets).length) {
    if (count === 2 && volume.status.state !== 'attached') {
      problems.push(
        invalid(
          'spec.attachmentTickets',
          `cannot attach migratable volume ${volume.metadata.name} to a second node while it is in state ${volume.status.state}`,
        ),
      );
    }
    if (count > 2) {
      const tickets = JSON.stringify(attachment.spec.attachmentTickets);
      problems.push(
        invalid(
          'spec.attachmentTickets',
          `cannot attach migratable volume ${volume.metadata.name} to more than two nodes: ${tickets}`,
        ),
      );
    }
  }
  return problems;
}

/** What is wrong with a new snapshot. */
export function validateNewSnapshot(snapshot: Snapshot): Problem[] {
  const { name, labels } = snapshot.metadata;
  const nameProblem = objectNameProblem(name);
  const problems: Problem[] = nameProblem === null ? [] : [invalid('metadata.name', `metadata.name ${nameProblem}`)];
  const entries = [...Object.entries(labels), ...Object.entries(snapshot.spec.labels)];
  if (entries.some(([key, value]) => `${key}${value}`.includes('='))) {
    problems.push(invalid('metadata.labels', "labels cannot contain '='"));
  }
  return problems;
}

/** What is wrong with the change of a snapshot. */
export function validateUpdatedSnapshot(snapshot: Snapshot, old: Snapshot): Problem[] {
  return [
    ...(snapshot.spec.volume === old.spec.volume ? [] : [invalid('spec.volume', 'spec.volume field is immutable')]),
    ...validateFixed('snapshot', snapshot.metadata, old.metadata),
  ];
}
