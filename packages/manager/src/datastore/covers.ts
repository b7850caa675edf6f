/** Compares what we want with what the API server stores, which adds fields of its own. */

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether all that is wanted is there. Lists count whole: one more or one less is a difference. */
export function covers(present: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(present) &&
      present.length === wanted.length &&
      wanted.every((item, index) => covers(present[index], item))
    );
  }
  if (isObject(wanted)) {
    return isObject(present) && Object.entries(wanted).every(([key, value]) => covers(present[key], value));
  }
  return present === wanted;
}
