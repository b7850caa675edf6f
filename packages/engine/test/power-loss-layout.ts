/** What power-loss-writer.ts writes and power-loss.test.ts expects. */
export const SIZE = 1 << 20;
/** byte that the volume is full of before the snapshot */
export const FLUSHED = 0x6f;
/** unmapped over the snapshot, and flushed */
export const ZEROED = { offset: 128 << 10, length: 64 << 10 };
/** written from the start of the volume, and lost */
export const LOST_BLOCKS = 16;
