/**
 * How a punched or zeroed range is put to the volume, piece by piece.
 *
 * The loop driver sends one and the same FALLOCATE (punch hole) for a discard and for "write zeroes, you may
 * deallocate", so a punched range must read as zeroes afterwards: whole sectors are unmapped, parts of sectors at
 * its ends, which an unmap leaves alone, are written.
 */
import { UNMAP_ALIGNMENT_BYTES, UNMAP_PIECE_BYTES, ZERO_PIECE_BYTES } from './limits.ts';

export type RangeMode = 'punch' | 'zero';
export interface RangeStep {
  action: 'unmap' | 'write-zeroes';
  lengthBytes: number;
}

const writeZeroes = (lengthBytes: number): RangeStep => ({ action: 'write-zeroes', lengthBytes });

/** The first step of a range that is not empty; the rest of the range follows by the same rule. */
export const nextRangeStep = (mode: RangeMode, offset: number, remaining: number): RangeStep => {
  if (mode === 'zero') return writeZeroes(Math.min(remaining, ZERO_PIECE_BYTES));
  const intoSector = offset % UNMAP_ALIGNMENT_BYTES;
  if (intoSector !== 0) return writeZeroes(Math.min(remaining, UNMAP_ALIGNMENT_BYTES - intoSector));
  if (remaining < UNMAP_ALIGNMENT_BYTES) return writeZeroes(remaining);
  const whole = remaining - (remaining % UNMAP_ALIGNMENT_BYTES);
  return { action: 'unmap', lengthBytes: Math.min(whole, UNMAP_PIECE_BYTES) };
};
