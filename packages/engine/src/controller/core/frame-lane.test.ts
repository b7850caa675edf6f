import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { frameDataLength, frameSeq } from '../../protocol/replica-frame.ts';
import { FrameLane } from './frame-lane.ts';

const WRITE = 1;

function collect(lane: FrameLane): Buffer[] {
  lane.close();
  return lane.pieces.slice(0, lane.count).map((piece) => Buffer.from(piece));
}

describe('a lane of frames', () => {
  it('gathers small frames into one piece', () => {
    const lane = new FrameLane(4096, 512);
    lane.addHeader(1, 0, 0, 512);
    lane.addPayload(2, WRITE, 512, Buffer.alloc(512, 7), 0, 512, 0);
    const pieces = collect(lane);
    expect(pieces.map((piece) => piece.length)).toEqual([26 + 26 + 512]);
    expect(pieces[0]?.subarray(52).every((byte) => byte === 7)).toBe(true);
  });

  it('sends a large payload from where it lies, its header before it', () => {
    const lane = new FrameLane(4096, 512);
    const from = Buffer.alloc(40 + 1000, 9);
    lane.addHeader(1, 0, 0, 512);
    lane.addPayload(2, WRITE, 0, from, 40, 1000, 26);
    lane.addHeader(3, 0, 0, 512);
    lane.close();
    expect(lane.pieces[1]?.buffer).toBe(from.buffer);
    const pieces = lane.pieces.slice(0, lane.count);
    expect(pieces.map((piece) => [piece.length, frameSeq(piece, 0)])).toEqual([
      [26, 1],
      [1026, 2],
      [26, 3],
    ]);
    expect(frameDataLength(from, 14)).toBe(1000);
  });

  it('without room before the payload leaves it untouched', () => {
    const lane = new FrameLane(4096, 512);
    const from = Buffer.alloc(1000, 9);
    lane.addPayload(2, WRITE, 0, from, 0, 1000, 0);
    expect(collect(lane).map((piece) => piece.length)).toEqual([26, 1000]);
    expect(from.every((byte) => byte === 9)).toBe(true);
  });

  it('does not touch bytes that a socket still holds', () => {
    const lane = new FrameLane(256, 64);
    const held: { piece: Buffer; copy: Buffer }[] = [];
    for (let seq = 1; seq < 40; seq++) {
      lane.addPayload(seq, WRITE, 0, Buffer.alloc(64, seq), 0, 64, 0);
      lane.close();
      for (const piece of lane.pieces.slice(0, lane.count)) held.push({ piece, copy: Buffer.from(piece) });
      lane.sent(true);
    }
    expect(held.every(({ piece, copy }) => piece.equals(copy))).toBe(true);
  });
});
