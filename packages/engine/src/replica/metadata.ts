/**
 * The JSON files of a replica, byte for byte as upstream writes them: keys in its order, one object and a newline,
 * `<`, `>`, `&` and the two line separators escaped. Reading is tolerant of unknown and missing keys; a file
 * that is no such object is refused with its name, and nothing is changed.
 */

export const VOLUME_META = 'volume.meta';

/** `volume.meta`. `Error` is written as "" and ignored: a fault is judged anew at every start. */
export interface VolumeMeta {
  readonly sizeBytes: number;
  readonly head: string;
  readonly isDirty: boolean;
  readonly isRebuilding: boolean;
  readonly parent: string;
  readonly sectorBytes: number;
  readonly backingFilePath: string;
}

/** `*.img.meta`; the name is the file's, not the one inside. */
export interface DiskMeta {
  readonly name: string;
  readonly parent: string;
  readonly isRemoved: boolean;
  readonly isUserCreated: boolean;
  readonly created: string;
  readonly labels: Readonly<Record<string, string>> | null;
}

/** A file of the replica is not what it has to be. */
export class MalformedFileError extends Error {
  override readonly name = 'MalformedFileError';

  constructor(file: string, problem: string, wayOut: string) {
    super(`${file}: ${problem}; ${wayOut}`);
  }
}

const WAY_OUT =
  'nothing was changed: put the file back from a copy, or remove this replica so that it is rebuilt from another one';

const ESCAPES: Record<string, string> = {
  '<': String.raw`\u003c`,
  '>': String.raw`\u003e`,
  '&': String.raw`\u0026`,
  '\u2028': String.raw`\u2028`,
  '\u2029': String.raw`\u2029`,
};

function encode(value: object): string {
  return `${JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (c) => ESCAPES[c] ?? c)}\n`;
}

/** Content of `volume.meta`. */
export function encodeVolumeMeta(meta: VolumeMeta): string {
  return encode({
    Size: meta.sizeBytes,
    Head: meta.head,
    Dirty: meta.isDirty,
    Rebuilding: meta.isRebuilding,
    Error: '',
    Parent: meta.parent,
    SectorSize: meta.sectorBytes,
    BackingFilePath: meta.backingFilePath,
  });
}

function sortedLabels(labels: Readonly<Record<string, string>> | null): Record<string, string> | null {
  if (labels === null) return null;
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Content of a disk's meta file. `recordedName`: upstream's snapshots carry the name of the head that they were. */
export function encodeDiskMeta(meta: DiskMeta, recordedName: string = meta.name): string {
  return encode({
    Name: recordedName,
    Parent: meta.parent,
    Removed: meta.isRemoved,
    UserCreated: meta.isUserCreated,
    Created: meta.created,
    Labels: sortedLabels(meta.labels),
  });
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(file: string, content: Buffer): Fields {
  if (content.length === 0) throw new MalformedFileError(file, 'is empty', WAY_OUT);
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new MalformedFileError(file, `is not JSON (${problem})`, WAY_OUT);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedFileError(file, 'is not a JSON object', WAY_OUT);
  }
  return value as Fields;
}

function stringField(file: string, fields: Fields, key: string): string {
  const value = fields[key] ?? '';
  if (typeof value !== 'string') throw new MalformedFileError(file, `${key} is not a string`, WAY_OUT);
  return value;
}

function booleanField(file: string, fields: Fields, key: string): boolean {
  const value = fields[key] ?? false;
  if (typeof value !== 'boolean') throw new MalformedFileError(file, `${key} is not true or false`, WAY_OUT);
  return value;
}

function sizeField(file: string, fields: Fields, key: string): number {
  const value = fields[key] ?? 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new MalformedFileError(file, `${key} is not a number of bytes`, WAY_OUT);
  }
  return value;
}

function labelsField(file: string, fields: Fields): Record<string, string> | null {
  const value = fields['Labels'] ?? null;
  if (value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new MalformedFileError(file, 'Labels is not an object', WAY_OUT);
  }
  const labels: Record<string, string> = {};
  for (const [key, label] of Object.entries(value)) {
    if (typeof label !== 'string') throw new MalformedFileError(file, `label ${key} is not a string`, WAY_OUT);
    labels[key] = label;
  }
  return labels;
}

/** Reads `volume.meta`; `folder` is for messages. */
export function decodeVolumeMeta(folder: string, content: Buffer): VolumeMeta {
  const file = `${folder}/${VOLUME_META}`;
  const fields = parseObject(file, content);
  const meta: VolumeMeta = {
    sizeBytes: sizeField(file, fields, 'Size'),
    head: stringField(file, fields, 'Head'),
    isDirty: booleanField(file, fields, 'Dirty'),
    isRebuilding: booleanField(file, fields, 'Rebuilding'),
    parent: stringField(file, fields, 'Parent'),
    sectorBytes: sizeField(file, fields, 'SectorSize'),
    backingFilePath: stringField(file, fields, 'BackingFilePath'),
  };
  if (meta.head === '') throw new MalformedFileError(file, 'Head is missing', WAY_OUT);
  if (meta.sizeBytes === 0) throw new MalformedFileError(file, 'Size is missing', WAY_OUT);
  return meta;
}

/** Reads the meta file of the disk `name` (`volume-….img`). */
export function decodeDiskMeta(folder: string, name: string, content: Buffer): DiskMeta & { recordedName: string } {
  const file = `${folder}/${name}.meta`;
  const fields = parseObject(file, content);
  return {
    name,
    recordedName: stringField(file, fields, 'Name'),
    parent: stringField(file, fields, 'Parent'),
    isRemoved: booleanField(file, fields, 'Removed'),
    isUserCreated: booleanField(file, fields, 'UserCreated'),
    created: stringField(file, fields, 'Created'),
    labels: labelsField(file, fields),
  };
}
