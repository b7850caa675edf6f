import { describe, expect, it } from 'vitest';
import {
  encodeInvalidation,
  encodeResend,
  fallocateLength,
  fallocateMode,
  initProblem,
  ioOffset,
  ioSize,
  parseInit,
  requestLength,
  requestOpcode,
  setAttrReply,
  setInitReply,
  setOpenReply,
  setReply,
  setStatfsReply,
  setWriteReply,
} from './fuse-protocol.ts';

const UNIQUE = '0807060504030201';
const HEADER_REST = '0100000000000000 00000000 00000000 00000000 00000000';

const wordsOf = (hex: string): { words: Uint32Array; bytes: Buffer } => {
  const bytes = Buffer.alloc(256);
  bytes.write(hex.replaceAll(/\s/g, ''), 'hex');
  return { words: new Uint32Array(bytes.buffer, bytes.byteOffset, 64), bytes };
};
const hexOf = (bytes: Buffer, length: number): string => bytes.subarray(0, length).toString('hex');
const plain = (hex: string): string => hex.replaceAll(/\s/g, '');

describe('requests as the kernel writes them', () => {
  it('reads a WRITE of 4096 bytes at 5 GiB', () => {
    const { words } = wordsOf(
      `50100000 10000000 ${UNIQUE} ${HEADER_REST} 0000000000000000 0000004001000000 00100000 00000000 0000000000000000 00000000 00000000`,
    );
    expect([requestLength(words, 0), requestOpcode(words, 0), ioOffset(words, 0), ioSize(words, 0)]).toEqual([
      4176,
      16,
      5 * 2 ** 30,
      4096,
    ]);
  });

  it('reads a FALLOCATE that punches 8 GiB at 4096', () => {
    const { words } = wordsOf(
      `48000000 2b000000 ${UNIQUE} ${HEADER_REST} 0000000000000000 0010000000000000 0000000002000000 03000000 00000000`,
    );
    expect([requestOpcode(words, 0), ioOffset(words, 0), fallocateLength(words, 0), fallocateMode(words, 0)]).toEqual([
      43,
      4096,
      8 * 2 ** 30,
      3,
    ]);
  });

  const inits = [
    { name: 'Linux 6.18', version: '07000000 2d000000', flags: 'fbffff73 fd050000', canResend: true, problem: null },
    {
      name: 'Linux 5.10, no second flags',
      version: '07000000 1f000000',
      flags: 'fbffff33 ffffffff',
      canResend: false,
      problem: null,
    },
    {
      name: 'Linux 4.19',
      version: '07000000 1b000000',
      flags: 'fbff3f00 00000000',
      canResend: false,
      problem: 'the kernel speaks FUSE 7.27, needed is 7.28 (Linux 4.20)',
    },
  ];
  it.each(inits)('reads the INIT of $name', ({ version, flags, canResend, problem }) => {
    const { words } = wordsOf(`68000000 1a000000 ${UNIQUE} ${HEADER_REST} ${version} 00000200 ${flags}`);
    const offer = parseInit(words, 0);
    expect({ canResend: offer.canResend, problem: initProblem(offer) }).toEqual({ canResend, problem });
  });
});

describe('replies over the request that they answer', () => {
  it('keeps unique, bit 63 of a resent request included', () => {
    const { words, bytes } = wordsOf('28000000 14000000 0500000000000080');
    setReply(words, 0, 16, 5);
    expect(hexOf(bytes, 16)).toBe(plain('10000000 fbffffff 0500000000000080'));
  });

  it('says how much was written', () => {
    const { words, bytes } = wordsOf(`50100000 10000000 ${UNIQUE}`);
    setWriteReply(words, 0, 4096);
    expect(hexOf(bytes, 24)).toBe(plain(`18000000 00000000 ${UNIQUE} 00100000 00000000`));
  });

  it('negotiates 1 MiB, 256 pages and resending', () => {
    const { words, bytes } = wordsOf(`68000000 1a000000 ${UNIQUE}`);
    expect(setInitReply(words, 0, { major: 7, minor: 45, canResend: true })).toBe(80);
    expect(hexOf(bytes, 80)).toBe(
      plain(
        `50000000 00000000 ${UNIQUE} 07000000 26000000 00001000 21804440 0001c000 00001000 01000000 0001 0000 80000000 00000000 ${'00000000'.repeat(6)}`,
      ),
    );
  });

  it('opens for direct I/O with parallel writes and without FLUSH', () => {
    const { words, bytes } = wordsOf(`30000000 0e000000 ${UNIQUE}`);
    expect(setOpenReply(words, 0)).toBe(32);
    expect(hexOf(bytes, 32)).toBe(plain(`20000000 00000000 ${UNIQUE} 0000000000000000 61000000 00000000`));
  });

  it('describes a regular file of 5 GiB whose attributes stay valid', () => {
    const { words, bytes } = wordsOf(`38000000 03000000 ${UNIQUE}`);
    expect(setAttrReply(words, 0, 5 * 2 ** 30)).toBe(120);
    expect(hexOf(bytes, 120)).toBe(
      plain(
        `78000000 00000000 ${UNIQUE} ffffff7f00000000 00000000 00000000 0100000000000000 0000004001000000 0000a00000000000 ${'00'.repeat(24)} 00000000 00000000 00000000 80810000 01000000 00000000 00000000 00000000 00100000 00000000`,
      ),
    );
  });

  it('gives 4096 as block size to statfs', () => {
    const { words, bytes } = wordsOf(`28000000 11000000 ${UNIQUE}`);
    expect(setStatfsReply(words, 0, 8192)).toBe(96);
    expect(hexOf(bytes, 96)).toBe(
      plain(
        `60000000 00000000 ${UNIQUE} 0200000000000000 0000000000000000 0000000000000000 0100000000000000 0000000000000000 00100000 ff000000 00100000 ${'00'.repeat(28)}`,
      ),
    );
  });

  it('tells of changed attributes of node 1 with notification 2', () => {
    expect(encodeInvalidation().toString('hex')).toBe(
      plain('28000000 02000000 0000000000000000 0100000000000000 ffffffffffffffff 0000000000000000'),
    );
  });

  it('asks for unanswered requests with notification 7', () => {
    expect(encodeResend().toString('hex')).toBe(plain('10000000 07000000 0000000000000000'));
  });
});
