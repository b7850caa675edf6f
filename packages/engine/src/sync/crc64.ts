/**
 * CRC-64/GO-ISO (reflected 0xD800000000000000, init and xorout all ones), the checksum of upstream's snapshot hashes.
 * Holes are skipped in logarithmic time, so that a sparse file costs what its data costs.
 */

const POLYNOMIAL = 0xd800_0000_0000_0000n;
const MASK = 0xffff_ffff_ffff_ffffn;
const SLICES = 8;

/** table[slice * 256 + byte], split into low and high words */
const low = new Uint32Array(SLICES * 256);
const high = new Uint32Array(SLICES * 256);

function fillTables(): void {
  const first: bigint[] = [];
  for (let byte = 0; byte < 256; byte++) {
    let crc = BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ POLYNOMIAL : crc >> 1n;
    first.push(crc);
  }
  let slice = first;
  for (let k = 0; k < SLICES; k++) {
    slice.forEach((value, byte) => {
      low[k * 256 + byte] = Number(value & 0xffff_ffffn);
      high[k * 256 + byte] = Number(value >> 32n);
    });
    slice = slice.map((value) => (value >> 8n) ^ (first[Number(value & 0xffn)] ?? 0n));
  }
}

fillTables();

/** A linear map on 64 bit values: image of each bit. */
type Matrix = readonly bigint[];

function apply(matrix: Matrix, value: bigint): bigint {
  let result = 0n;
  let rest = value;
  for (let bit = 0; rest !== 0n; bit++, rest >>= 1n) if ((rest & 1n) === 1n) result ^= matrix[bit] ?? 0n;
  return result;
}

/** zeroBytes[k] advances a CRC over 2^k zero bytes */
const zeroBytes: Matrix[] = [];

function zeroMatrix(power: number): Matrix {
  for (let k = zeroBytes.length; k <= power; k++) {
    const below = zeroBytes[k - 1];
    zeroBytes.push(
      below === undefined
        ? Array.from({ length: 64 }, (_, bit) => {
            let crc = 1n << BigInt(bit);
            for (let i = 0; i < 8; i++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ POLYNOMIAL : crc >> 1n;
            return crc;
          })
        : below.map((image) => apply(below, image)),
    );
  }
  return zeroBytes[power] ?? [];
}

export class Crc64 {
  private low = 0xffff_ffff;
  private high = 0xffff_ffff;

  update(bytes: Buffer, length: number = bytes.length): void {
    let lo = this.low;
    let hi = this.high;
    let at = 0;
    for (; at + 8 <= length; at += 8) {
      lo ^= bytes.readInt32LE(at);
      hi ^= bytes.readInt32LE(at + 4);
      const a = 1792 + (lo & 0xff);
      const b = 1536 + ((lo >>> 8) & 0xff);
      const c = 1280 + ((lo >>> 16) & 0xff);
      const d = 1024 + (lo >>> 24);
      const e = 768 + (hi & 0xff);
      const f = 512 + ((hi >>> 8) & 0xff);
      const g = 256 + ((hi >>> 16) & 0xff);
      const h = hi >>> 24;
      lo =
        at8(low, a) ^ at8(low, b) ^ at8(low, c) ^ at8(low, d) ^ at8(low, e) ^ at8(low, f) ^ at8(low, g) ^ at8(low, h);
      hi =
        at8(high, a) ^
        at8(high, b) ^
        at8(high, c) ^
        at8(high, d) ^
        at8(high, e) ^
        at8(high, f) ^
        at8(high, g) ^
        at8(high, h);
    }
    for (; at < length; at++) {
      const byte = (lo ^ (bytes[at] as number)) & 0xff;
      lo = ((lo >>> 8) | (hi << 24)) ^ at8(low, byte);
      hi = (hi >>> 8) ^ at8(high, byte);
    }
    this.low = lo >>> 0;
    this.high = hi >>> 0;
  }

  /** As `update` with that many zero bytes. */
  zeros(length: number): void {
    let crc = (BigInt(this.high) << 32n) | BigInt(this.low);
    let rest = length;
    for (let power = 0; rest > 0; power++) {
      if (rest % 2 === 1) crc = apply(zeroMatrix(power), crc);
      rest = Math.floor(rest / 2);
    }
    this.low = Number(crc & 0xffff_ffffn);
    this.high = Number(crc >> 32n);
  }

  /** 16 lowercase hex digits, most significant byte first. */
  hex(): string {
    const crc = ((BigInt(this.high) << 32n) | BigInt(this.low)) ^ MASK;
    return crc.toString(16).padStart(16, '0');
  }
}

function at8(table: Uint32Array, at: number): number {
  return table[at] as number;
}
