/** What a Kubernetes node says by annotations about its first disks and tags. Pure. */
import { posix } from 'node:path';
import { ANNOTATION, tagProblem } from '@longhorn/shared-types';
import { record } from '../../datastore/core-kinds.ts';

export interface AnnotatedDisk {
  /** '': named after its file system. */
  name: string;
  path: string;
  allowScheduling: boolean;
  /** Null: by the setting. */
  reservedBytes: number | null;
  tags: string[];
}

const EXPECTED = {
  [ANNOTATION.defaultDisksConfig]:
    '[{"name":"fast","path":"/mnt/disk1","allowScheduling":true,"storageReserved":1073741824,"tags":["ssd"]}], where name, storageReserved (bytes) and tags may be left out',
  [ANNOTATION.defaultNodeTags]: '["fast","storage"]',
} as const;

type DefaultAnnotation = keyof typeof EXPECTED;

/** An annotation that cannot be followed. The message names it, what is wrong, and what is expected. */
export class AnnotationError extends Error {
  override readonly name = 'AnnotationError';

  constructor(annotation: DefaultAnnotation, problem: string) {
    super(`annotation ${annotation} is not applied: ${problem}. Expected is ${EXPECTED[annotation]}`);
  }
}

function parseList(annotation: DefaultAnnotation, text: string): unknown[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new AnnotationError(annotation, `it is no JSON (${String(error)})`);
  }
  if (!Array.isArray(parsed)) throw new AnnotationError(annotation, 'it is no list');
  return parsed;
}

/** Tags without doubles, or why there are none. */
function tagsOf(value: unknown): string[] | { problem: string } {
  if (!Array.isArray(value)) return { problem: 'tags must be a list of strings' };
  const tags: string[] = [];
  for (const tag of value) {
    if (typeof tag !== 'string') return { problem: `the tag ${JSON.stringify(tag)} is no string` };
    const problem = tagProblem(tag);
    if (problem !== null) return { problem };
    tags.push(tag);
  }
  return [...new Set(tags)].toSorted();
}

/** Throws AnnotationError. */
export function parseDefaultTags(text: string): string[] {
  const annotation = ANNOTATION.defaultNodeTags;
  const tags = tagsOf(parseList(annotation, text));
  if (Array.isArray(tags)) return tags;
  throw new AnnotationError(annotation, tags.problem);
}

/** Throws AnnotationError: one disk that is wrong is reason to take none. */
export function parseDefaultDisks(text: string): AnnotatedDisk[] {
  const annotation = ANNOTATION.defaultDisksConfig;
  const disks = parseList(annotation, text).map((value, index) => {
    const disk = parseDisk(value);
    if ('problem' in disk) throw new AnnotationError(annotation, `disk ${index + 1}: ${disk.problem}`);
    return disk;
  });
  const doubles = (texts: string[]): string | undefined => texts.find((entry, index) => texts.indexOf(entry) < index);
  const path = doubles(disks.map((disk) => disk.path));
  if (path !== undefined) throw new AnnotationError(annotation, `two disks have the path ${path}`);
  const name = doubles(disks.map((disk) => disk.name).filter((entry) => entry !== ''));
  if (name !== undefined) throw new AnnotationError(annotation, `two disks have the name ${name}`);
  return disks;
}

function parseDisk(value: unknown): AnnotatedDisk | { problem: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'it is no object' };
  // A field that is left out is one of Go's zero value, as in the system that this annotation comes from.
  const {
    name = '',
    path = '',
    allowScheduling = false,
    storageReserved = null,
    tags = [],
    diskType = '',
  } = record(value);
  if (typeof name !== 'string') return { problem: 'name must be a string' };
  if (typeof path !== 'string' || !posix.isAbsolute(path) || path.split('/').includes('..'))
    return { problem: `path must be absolute, it is ${JSON.stringify(path)}` };
  if (typeof allowScheduling !== 'boolean') return { problem: 'allowScheduling must be true or false' };
  if (storageReserved !== null && (!Number.isSafeInteger(storageReserved) || Number(storageReserved) < 0))
    return { problem: `storageReserved must be a number of bytes, it is ${JSON.stringify(storageReserved)}` };
  if (diskType !== '' && diskType !== 'filesystem')
    return { problem: `diskType must be filesystem, it is ${JSON.stringify(diskType)}` };
  const known = tagsOf(tags ?? []);
  if (!Array.isArray(known)) return known;
  const bare = posix.normalize(path);
  return {
    name,
    path: bare.length > 1 ? bare.replace(/\/$/, '') : bare,
    allowScheduling,
    reservedBytes: storageReserved === null ? null : Number(storageReserved),
    tags: known,
  };
}
