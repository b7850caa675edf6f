/** Sizes of volumes: whole bytes below 2^63, in steps of 2 MiB. */
import { parseQuantity } from './quantity.ts';

/** Volumes are a multiple of this, and at least this: 2 MiB. */
export const VOLUME_SIZE_STEP_BYTES = 2_097_152n;
/** Largest 64 bit integer: what upstream's clients can hold. */
export const SIZE_BYTES_MAX = 2n ** 63n - 1n;
/** Largest size that is a multiple of the step. */
export const VOLUME_SIZE_BYTES_MAX = SIZE_BYTES_MAX - (SIZE_BYTES_MAX % VOLUME_SIZE_STEP_BYTES);

/** A size, or why the text is none, as a sentence that goes on after the name of the field. */
export type SizeResult = { ok: true; bytes: bigint } | { ok: false; problem: string };

/** Reads bytes as a decimal string (`1073741824`) or a quantity (`2Gi`). Refuses what is negative, broken or over 2^63-1. */
export function parseSize(text: string): SizeResult {
  const bytes = parseQuantity(text.trim());
  if (bytes === null) {
    return {
      ok: false,
      problem: `must be a whole number of bytes such as 1073741824, or a size such as 2Gi, not "${clip(text)}"`,
    };
  }
  if (bytes < 0n) return { ok: false, problem: `must not be negative, it is ${clip(text)}` };
  if (bytes > SIZE_BYTES_MAX) {
    return { ok: false, problem: `must be below 2^63 bytes (${SIZE_BYTES_MAX}), it is ${clip(text)}` };
  }
  return { ok: true, bytes };
}

/** The next multiple of 2 MiB, at least 2 MiB; null when that is 2^63 or more. */
export function roundVolumeSize(bytes: bigint): bigint | null {
  if (bytes <= 0n) return VOLUME_SIZE_STEP_BYTES;
  const steps = (bytes + VOLUME_SIZE_STEP_BYTES - 1n) / VOLUME_SIZE_STEP_BYTES;
  const rounded = steps * VOLUME_SIZE_STEP_BYTES;
  return rounded > SIZE_BYTES_MAX ? null : rounded;
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
