import { describe, expect, it } from 'vitest';
import {
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FRAME_READ,
  FRAME_RESPONSE,
  FRAME_WRITE,
  copyFrameOffset,
  frameDataLength,
  frameMagic,
  frameOffset,
  frameSeq,
  frameSize,
  frameType,
  wrongMagicText,
  writeFrameHeader,
} from './replica-frame.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

describe('replica frame header', () => {
  const cases = [
    {
      name: 'write of 4096 bytes at 8192',
      fields: [1, FRAME_WRITE, 8192, 4096, 4096],
      bytes: '011b 01000000 01000000 0020000000000000 00100000 00100000',
    },
    {
      name: 'read of 4096 bytes at 0',
      fields: [2, FRAME_READ, 0, 4096, 0],
      bytes: '011b 02000000 00000000 0000000000000000 00100000 00000000',
    },
    {
      name: 'its answer',
      fields: [2, FRAME_RESPONSE, 0, 4096, 4096],
      bytes: '011b 02000000 02000000 0000000000000000 00100000 00100000',
    },
    {
      name: 'the largest sequence number, length and an offset above 32 bits',
      fields: [0xffffffff, FRAME_READ, 0x1f_ffff_ffff_ffff, 0xffffffff, 0xfffffffe],
      bytes: '011b ffffffff 00000000 ffffffffffff1f00 ffffffff feffffff',
    },
  ] as const;

  it.each(cases)('$name: written and read back', ({ fields, bytes }) => {
    const at = 3;
    const into = Buffer.alloc(at + FRAME_HEADER_BYTES + 2, 0xaa);
    const [seq, type, offset, size, dataLength] = fields;
    writeFrameHeader(into, at, seq, type, offset, size, dataLength);
    expect(into.subarray(at, at + FRAME_HEADER_BYTES).toString('hex')).toBe(hex(bytes).toString('hex'));
    expect([into[at - 1], into[at + FRAME_HEADER_BYTES]]).toEqual([0xaa, 0xaa]);
    expect(frameMagic(into, at)).toBe(FRAME_MAGIC);
    expect([
      frameSeq(into, at),
      frameType(into, at),
      frameOffset(into, at),
      frameSize(into, at),
      frameDataLength(into, at),
    ]).toEqual(fields);
  });

  it.each([
    ['negative', 'ffffffffffffffff'],
    ['2^53', '0000000000002000'],
    ['2^63 - 1', 'ffffffffffffff7f'],
  ])('an offset that is %s reads as -1 and is echoed byte for byte', (_name, offset) => {
    const frame = hex(`011b 01000000 00000000 ${offset} 00100000 00000000`);
    expect(frameOffset(frame, 0)).toBe(-1);
    const answer = Buffer.alloc(FRAME_HEADER_BYTES);
    writeFrameHeader(answer, 0, 1, FRAME_RESPONSE, 0, 0, 0);
    copyFrameOffset(answer, 0, frame, 0);
    expect(answer.subarray(10, 18).toString('hex')).toBe(offset);
  });

  it('names a wrong magic in hex', () => {
    expect(wrongMagicText(0x4547)).toBe('wrong API version received: 0x4547');
  });
});
