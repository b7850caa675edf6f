import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { FrameCutter } from './relay-frames.ts';

/** Headers of two bytes: a letter, and how many bytes follow. */
const STREAM = Buffer.concat([Buffer.from('A\x03abcB\x00C\x01d'), Buffer.from('D\x05efghi')]);

function cut(pieces: readonly Buffer[]): { frames: string[]; isBetween: boolean } {
  const frames: string[] = [];
  let current: Buffer = Buffer.alloc(0);
  const cutter = new FrameCutter(Buffer.alloc(2), {
    header: (header) => {
      frames.push(header.toString('latin1', 0, 1));
      return header.readUInt8(1);
    },
    payload: (from, to) => {
      frames.push(`${frames.pop() ?? ''}${current.toString('latin1', from, to)}`);
    },
  });
  for (const piece of pieces) {
    current = piece;
    cutter.take(piece, piece.length);
  }
  return { frames, isBetween: cutter.isBetweenFrames };
}

it('finds the same frames wherever the stream is split', () => {
  const whole = { frames: ['Aabc', 'B', 'Cd', 'Defghi'], isBetween: true };
  for (let first = 0; first <= STREAM.length; first++) {
    for (let second = first; second <= STREAM.length; second++) {
      const pieces = [STREAM.subarray(0, first), STREAM.subarray(first, second), STREAM.subarray(second)];
      expect(cut(pieces), `split at ${first} and ${second}`).toEqual(whole);
    }
  }
});

it('tells when it is within a frame', () => {
  expect(cut([STREAM.subarray(0, 1)]).isBetween).toBe(false);
  expect(cut([STREAM.subarray(0, 4)]).isBetween).toBe(false);
  expect(cut([STREAM.subarray(0, 5)]).isBetween).toBe(true);
});
