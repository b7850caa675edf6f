/** POST /v1/volumes: what a client says about a new volume becomes a Volume object; the webhooks do the rest. */
import {
  parseSize,
  recurringJobGroupLabel,
  recurringJobLabel,
  type RestContent,
  type Volume,
} from '@longhorn/shared-types';
import type { ApiContext } from './api-context.ts';
import { checkedName, createObject } from './object-writes.ts';
import { RestFault, wrapped } from './rest-fault.ts';
import { readInput, readResource } from './rest-input.ts';

const READ_FIELDS = [
  'name',
  'size',
  'frontend',
  'fromBackup',
  'restoreVolumeRecurringJob',
  'dataSource',
  'cloneMode',
  'dataLocality',
  'staleReplicaTimeout',
  'backingImage',
  'standby',
  'revisionCounterDisabled',
  'snapshotDataIntegrity',
  'unmapMarkSnapChainRemoved',
  'backupCompressionMethod',
  'backupBlockSize',
  'replicaSoftAntiAffinity',
  'replicaZoneSoftAntiAffinity',
  'replicaDiskSoftAntiAffinity',
  'dataEngine',
  'snapshotMaxCount',
  'snapshotMaxSize',
  'replicaRebuildingBandwidthLimit',
  'freezeFilesystemForSnapshot',
  'backupTargetName',
  'diskSelector',
  'nodeSelector',
  'recurringJobSelector',
  'numberOfReplicas',
  'replicaAutoBalance',
  'accessMode',
  'offlineRebuilding',
  'migratable',
  'encrypted',
] as const;

type VolumeInput = Pick<RestContent<'volume'>, (typeof READ_FIELDS)[number]>;

/** Bytes of a size as people write it, as a decimal string; null when it is not said. */
export function sizeText(field: string, text: string): string | null {
  if (text.trim() === '') return null;
  // 0 and less are made the smallest size, as for objects that kubectl sends.
  if (/^-[0-9]/.test(text.trim())) return '0';
  const size = parseSize(text);
  if (!size.ok) throw new RestFault(`failed to parse ${field} ${text.slice(0, 60)}: ${field} ${size.problem}`);
  return String(size.bytes);
}

/** Every tag of a selector must be one of some disk or node. */
function checkTags({ datastore }: ApiContext, { diskSelector, nodeSelector }: VolumeInput): void {
  const nodes = datastore.store('Node').list();
  const diskTags = new Set(nodes.flatMap((node) => Object.values(node.spec.disks).flatMap((disk) => disk.tags)));
  const nodeTags = new Set(nodes.flatMap((node) => node.spec.tags));
  for (const [word, wanted, known] of [
    ['disk', diskSelector, diskTags],
    ['node', nodeSelector, nodeTags],
  ] as const) {
    const missing = wanted.find((tag) => !known.has(tag));
    if (missing !== undefined) throw new RestFault(`specified ${word} tag ${missing} does not exist`);
  }
}

/** What is not said stays out, for the webhook to fill in. */
function said(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== '' && value !== null && value !== 0 && value !== false),
  );
}

const UNKNOWN_PARAMETERS_MAX = 64;
const UNKNOWN_PARAMETER_LENGTH_MAX = 63;

/** A misspelt StorageClass parameter has no effect: people see it as an event of the volume. */
function warnOfUnknown(context: ApiContext, volume: Volume, body: unknown): void {
  const names = readInput('volumeCreateNotes', body).unknownParameters.slice(0, UNKNOWN_PARAMETERS_MAX);
  if (names.length === 0) return;
  const shown = names.map((name) => name.slice(0, UNKNOWN_PARAMETER_LENGTH_MAX)).join(', ');
  context.events.record('longhorn-api', volume, {
    type: 'Warning',
    reason: 'UnknownParameters',
    message: `StorageClass parameters without effect, check their spelling: ${shown}`,
  });
}

/** Creates the volume; returns its name, which the webhook may have corrected. */
export async function createVolume(context: ApiContext, body: unknown): Promise<string> {
  const input = readResource('volume', body, READ_FIELDS);
  if (input.standby)
    throw new RestFault(`failed to create standby volume ${input.name}: standby volumes are not supported yet`);
  checkTags(context, input);
  const {
    name,
    size,
    snapshotMaxSize,
    backupBlockSize,
    standby: _standby,
    recurringJobSelector,
    frontend,
    ...rest
  } = input;
  const spec = {
    ...said(rest),
    frontend: frontend === '' ? 'blockdev' : frontend,
    // Upstream reads a missing size as 0; here it is the default size.
    ...said({
      size: sizeText('size', size),
      snapshotMaxSize: sizeText('snapshotMaxSize', snapshotMaxSize),
      backupBlockSize: sizeText('backupBlockSize', backupBlockSize),
    }),
    diskSelector: input.diskSelector,
    nodeSelector: input.nodeSelector,
  };
  const labels = Object.fromEntries(
    recurringJobSelector.map((job) => [
      job.isGroup ? recurringJobGroupLabel(job.name) : recurringJobLabel(job.name),
      'enabled',
    ]),
  );
  const words = `failed to create volume: unable to create volume ${name.slice(0, 60)}`;
  const created = await wrapped(words, () =>
    createObject(context, 'Volume', checkedName('volume', name), { spec }, labels),
  );
  warnOfUnknown(context, created, body);
  return created.metadata.name;
}
