/** What a name may be. Each function says what is wrong, as a sentence that goes on after the name of the field. */
import { NAME_LENGTH_MAX } from './object-names.ts';

const LABEL_LENGTH_MAX = 63;
const SUBDOMAIN_LENGTH_MAX = 253;
const TAG_LENGTH_MAX = 63;

function clip(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/**
 * What is wrong with the name of a volume; null when nothing is. Rules: lower case letters, digits and dashes, a letter
 * or digit at both ends, 2 to 40 characters. It becomes part of paths and of names of devices.
 */
export function volumeNameProblem(name: string): string | null {
  if (name === '') return 'must not be empty; use lower case letters, digits and dashes';
  if (name.length > NAME_LENGTH_MAX) {
    return `must be at most ${NAME_LENGTH_MAX} characters, ${clip(name)} has ${name.length}`;
  }
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name)) {
    return `must be lower case letters, digits and dashes, with a letter or digit at both ends, such as "my-volume-1"; it is ${clip(name)}`;
  }
  if (name.length < 2) return `must have at least 2 characters, it is ${clip(name)}`;
  return null;
}

/** What is wrong with the name of an object of any kind (RFC 1123 subdomain); null when nothing is. */
export function objectNameProblem(name: string): string | null {
  if (name === '') return 'must not be empty';
  if (name.length > SUBDOMAIN_LENGTH_MAX) {
    return `must be at most ${SUBDOMAIN_LENGTH_MAX} characters, ${clip(name)} has ${name.length}`;
  }
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)) {
    return `must be lower case letters, digits, dashes and dots, with a letter or digit at both ends; it is ${clip(name)}`;
  }
  return null;
}

/** What is wrong with a node or disk tag; null when nothing is. */
export function tagProblem(tag: string): string | null {
  if (tag.length > TAG_LENGTH_MAX)
    return `must be at most ${TAG_LENGTH_MAX} characters, ${clip(tag)} has ${tag.length}`;
  return /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(tag)
    ? null
    : `must be letters, digits, '-', '_' and '.', with a letter or digit at both ends; it is ${clip(tag)}`;
}

/** What is wrong with a label value; null when nothing is. */
export function labelValueProblem(value: string): string | null {
  if (value === '') return null;
  if (value.length > LABEL_LENGTH_MAX) {
    return `must be at most ${LABEL_LENGTH_MAX} characters, ${clip(value)} has ${value.length}`;
  }
  return /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(value) ? null : `is not a label value: ${clip(value)}`;
}
