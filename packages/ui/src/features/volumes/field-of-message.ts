/** Which field of the form a refusal of the API is about, so that it is shown there. Pure. */

export type VolumeField = 'name' | 'size' | 'numberOfReplicas';

/** Most special first: a sentence about replicas may well name the volume. */
const FIELD_WORDS: readonly [VolumeField, RegExp][] = [
  ['numberOfReplicas', /numberOfReplicas|replica count|number of replicas/i],
  ['size', /spec\.size|failed to parse size|\bsize must\b|\bsize\b.*\b(below|negative|multiple|bytes)\b/i],
  ['name', /metadata\.name|invalid name|volume name|\balready exists?\b|\bname must\b/i],
];

/** The field; null when the message is about the volume as a whole. */
export function fieldOfMessage(message: string): VolumeField | null {
  return FIELD_WORDS.find(([, words]) => words.test(message))?.[0] ?? null;
}
