/**
 * Puts a blob into a copy of Node's ELF executable where Node looks for the program of a single executable application:
 * a note named NODE_SEA_BLOB in a segment that is mapped at start, and the switch that says there is one.
 *
 *     before   | header | program headers (n) | … |
 *     after    | header | (unused)            | … | program headers (n + 2) | note header | blob |
 *                                                 └ one new segment: LOAD and NOTE ┘
 *
 * The table of program headers moves to the end, because there is no room behind it. The kernel tells the program where
 * the table is by `first segment's address + table's file offset`, so the new segment's address is that same sum.
 */

const NOTE_NAME = 'NODE_SEA_BLOB\0';
const SWITCH_OFF = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:0';
const PAGE_BYTES = 4096;
const HEADER_BYTES = 56;
const TYPE = { load: 1, note: 4, phdr: 6 } as const;
const READ = 4;

interface ProgramHeader {
  type: number;
  flags: number;
  offset: bigint;
  address: bigint;
  fileBytes: bigint;
  memoryBytes: bigint;
  align: bigint;
}

const alignUp = (value: number, step: number): number => Math.ceil(value / step) * step;

function readHeader(elf: Buffer, at: number): ProgramHeader {
  return {
    type: elf.readUInt32LE(at),
    flags: elf.readUInt32LE(at + 4),
    offset: elf.readBigUInt64LE(at + 8),
    address: elf.readBigUInt64LE(at + 16),
    fileBytes: elf.readBigUInt64LE(at + 32),
    memoryBytes: elf.readBigUInt64LE(at + 40),
    align: elf.readBigUInt64LE(at + 48),
  };
}

function writeHeader(into: Buffer, at: number, header: ProgramHeader): void {
  into.writeUInt32LE(header.type, at);
  into.writeUInt32LE(header.flags, at + 4);
  into.writeBigUInt64LE(header.offset, at + 8);
  into.writeBigUInt64LE(header.address, at + 16);
  into.writeBigUInt64LE(header.address, at + 24);
  into.writeBigUInt64LE(header.fileBytes, at + 32);
  into.writeBigUInt64LE(header.memoryBytes, at + 40);
  into.writeBigUInt64LE(header.align, at + 48);
}

function programHeaders(elf: Buffer): ProgramHeader[] {
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1) {
    throw new Error('Node is no 64-bit little-endian ELF executable: a single executable can be made on Linux only');
  }
  const size = elf.readUInt16LE(54);
  if (size !== HEADER_BYTES) throw new Error(`program headers of ${size} bytes are not known`);
  const start = Number(elf.readBigUInt64LE(32));
  return Array.from({ length: elf.readUInt16LE(56) }, (_, index) => readHeader(elf, start + index * HEADER_BYTES));
}

/** The segment of table and note, and the whole table. */
function planTable(
  headers: readonly ProgramHeader[],
  offset: number,
  noteBytes: number,
): { table: ProgramHeader[]; tableBytes: number } {
  const segments = headers.filter(({ type }) => type === TYPE.load);
  const [first] = segments;
  if (first === undefined || first.offset !== 0n) throw new Error('the first segment does not start with the file');
  const address = first.address + BigInt(offset);
  const end = segments.reduce((most, { address: at, memoryBytes }) => {
    const segmentEnd = at + memoryBytes;
    return segmentEnd > most ? segmentEnd : most;
  }, 0n);
  if (address < end) throw new Error('there is no free address behind the segments at the end of the file');
  const tableBytes = (headers.length + 2) * HEADER_BYTES;
  const place = { flags: READ, offset: BigInt(offset), address };
  const bytes = BigInt(tableBytes + noteBytes);
  const load = { ...place, type: TYPE.load, fileBytes: bytes, memoryBytes: bytes, align: BigInt(PAGE_BYTES) };
  const note = {
    type: TYPE.note,
    flags: READ,
    offset: BigInt(offset + tableBytes),
    address: address + BigInt(tableBytes),
    fileBytes: BigInt(noteBytes),
    memoryBytes: BigInt(noteBytes),
    align: 4n,
  };
  const moved = headers.map((header) =>
    header.type === TYPE.phdr
      ? { ...header, ...place, fileBytes: BigInt(tableBytes), memoryBytes: BigInt(tableBytes) }
      : header,
  );
  // Loaded segments stand in the order of their addresses; the new one has the highest.
  const lastLoad = moved.findLastIndex(({ type }) => type === TYPE.load);
  return { table: [...moved.slice(0, lastLoad + 1), load, ...moved.slice(lastLoad + 1), note], tableBytes };
}

function noteOf(blob: Buffer): Buffer {
  const name = Buffer.alloc(alignUp(NOTE_NAME.length, 4));
  name.write(NOTE_NAME, 'latin1');
  const head = Buffer.alloc(12);
  head.writeUInt32LE(NOTE_NAME.length, 0);
  head.writeUInt32LE(blob.length, 4);
  return Buffer.concat([head, name, blob, Buffer.alloc(alignUp(blob.length, 4) - blob.length)]);
}

/** Node's executable with the blob in it. */
export function withSeaBlob(node: Buffer, blob: Buffer): Buffer {
  const headers = programHeaders(node);
  const offset = alignUp(node.length, PAGE_BYTES);
  const note = noteOf(blob);
  const { table, tableBytes } = planTable(headers, offset, note.length);
  const result = Buffer.alloc(offset + tableBytes + note.length);
  node.copy(result);
  table.forEach((header, index) => writeHeader(result, offset + index * HEADER_BYTES, header));
  note.copy(result, offset + tableBytes);
  result.writeBigUInt64LE(BigInt(offset), 32);
  result.writeUInt16LE(table.length, 56);
  const at = result.indexOf(SWITCH_OFF, 0, 'latin1');
  if (at < 0 || result.indexOf(SWITCH_OFF, at + 1, 'latin1') >= 0) {
    throw new Error('this Node has no switch for single executable applications, or two');
  }
  result.write('1', at + SWITCH_OFF.length - 1, 'latin1');
  return result;
}
