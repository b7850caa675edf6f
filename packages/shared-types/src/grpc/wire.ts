/**
 * Reader and writer of the protobuf wire format.
 *
 * 64-bit integers are JavaScript numbers: a value beyond 2^53 throws instead of losing digits (`…64Big` gives
 * bigint where such values are normal). Every length is checked against what is left, so that a hostile
 * length costs nothing. All failures are `ProtoError`.
 */
import { isUtf8 } from 'node:buffer';

/** Malformed bytes from a peer, or a value that does not fit its field. */
export class ProtoError extends Error {
  override readonly name = 'ProtoError';
}

const TWO_32 = 4_294_967_296;
const VARINT_BYTES_MAX = 10;

/** Reads one message (or a part of one) from a buffer; strings are copied, bytes are copied. */
export class ProtoReader {
  readonly buffer: Buffer;
  position: number;
  readonly end: number;
  /** low and high word of the last varint */
  low = 0;
  high = 0;

  constructor(buffer: Buffer, position = 0, end: number = buffer.length) {
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  varint(): void {
    let low = 0;
    let high = 0;
    for (let index = 0; index < VARINT_BYTES_MAX; index++) {
      if (this.position >= this.end) throw new ProtoError('message ends inside a number');
      const byte = this.buffer[this.position++] ?? 0;
      const bits = byte & 0x7f;
      if (index < 4) low |= bits << (7 * index);
      else if (index === 4) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (index < 9) high |= bits << (7 * index - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw new ProtoError('number longer than 10 bytes');
  }

  uint32(): number {
    this.varint();
    return this.low;
  }

  int32(): number {
    this.varint();
    return this.low | 0;
  }

  bool(): boolean {
    this.varint();
    return this.low !== 0 || this.high !== 0;
  }

  uint64(): number {
    this.varint();
    const value = this.high * TWO_32 + this.low;
    if (!Number.isSafeInteger(value)) throw new ProtoError(`${this.uint64Text()} is beyond 2^53`);
    return value;
  }

  int64(): number {
    this.varint();
    const value = (this.high | 0) * TWO_32 + this.low;
    if (!Number.isSafeInteger(value)) throw new ProtoError(`${this.int64Text()} is beyond 2^53`);
    return value;
  }

  int64Big(): bigint {
    this.varint();
    return BigInt(this.int64Text());
  }

  private uint64Text(): string {
    return ((BigInt(this.high) << 32n) | BigInt(this.low)).toString();
  }

  private int64Text(): string {
    return BigInt.asIntN(64, (BigInt(this.high) << 32n) | BigInt(this.low)).toString();
  }

  /** A length prefix; leaves the position at its content and returns where the content ends. */
  lengthEnd(): number {
    const length = this.uint32();
    if (this.high !== 0 || length > this.end - this.position) {
      throw new ProtoError(`length ${this.high * TWO_32 + length} exceeds the ${this.end - this.position} bytes left`);
    }
    return this.position + length;
  }

  string(): string {
    const end = this.lengthEnd();
    const slice = this.buffer.subarray(this.position, end);
    if (!isUtf8(slice)) throw new ProtoError('string is not valid UTF-8');
    this.position = end;
    return slice.toString('utf8');
  }

  bytes(): Buffer {
    const end = this.lengthEnd();
    const copy = Buffer.from(this.buffer.subarray(this.position, end));
    this.position = end;
    return copy;
  }

  /** Skips the content of an unknown field. */
  skip(wireType: number): void {
    if (wireType === 0) this.varint();
    else if (wireType === 1) this.advance(8);
    else if (wireType === 2) this.position = this.lengthEnd();
    else if (wireType === 5) this.advance(4);
    else throw new ProtoError(`wire type ${wireType} is not supported`);
  }

  private advance(count: number): void {
    if (count > this.end - this.position) throw new ProtoError('message ends inside a field');
    this.position += count;
  }
}

/** Appends fields to a growing buffer. */
export class ProtoWriter {
  private buffer: Buffer = Buffer.allocUnsafe(256);
  private length = 0;

  private reserve(count: number): void {
    if (this.length + count <= this.buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.length + count));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  private words(lowWord: number, highWord: number): void {
    this.reserve(VARINT_BYTES_MAX);
    let low = lowWord >>> 0;
    let high = highWord >>> 0;
    while (high !== 0 || low > 0x7f) {
      this.buffer[this.length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.buffer[this.length++] = low;
  }

  tag(number: number, wireType: number): void {
    this.words(((number << 3) | wireType) >>> 0, 0);
  }

  uint32(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value >= TWO_32) throw new ProtoError(`${value} is not a uint32`);
    this.words(value, 0);
  }

  int32(value: number): void {
    if (!Number.isInteger(value) || (value | 0) !== value) throw new ProtoError(`${value} is not an int32`);
    this.words(value, value < 0 ? 0xffffffff : 0);
  }

  bool(value: boolean): void {
    if (typeof value !== 'boolean') throw new ProtoError(`${String(value)} is not a bool`);
    this.words(value ? 1 : 0, 0);
  }

  uint64(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new ProtoError(`${value} is not an integer from 0 to 2^53`);
    this.words(value % TWO_32, Math.floor(value / TWO_32));
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw new ProtoError(`${value} is not an integer within 2^53`);
    this.words(((value % TWO_32) + TWO_32) % TWO_32, Math.floor(value / TWO_32));
  }

  int64Big(value: bigint): void {
    if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value)
      throw new ProtoError(`${value} is not an int64`);
    const unsigned = BigInt.asUintN(64, value);
    this.words(Number(unsigned & 0xffffffffn), Number(unsigned >> 32n));
  }

  string(value: string): void {
    if (typeof value !== 'string') throw new ProtoError(`${String(value)} is not a string`);
    const byteCount = Buffer.byteLength(value, 'utf8');
    this.words(byteCount, 0);
    this.reserve(byteCount);
    this.buffer.write(value, this.length, byteCount, 'utf8');
    this.length += byteCount;
  }

  bytes(value: Uint8Array): void {
    if (!(value instanceof Uint8Array)) throw new ProtoError(`${String(value)} is not bytes`);
    this.words(value.length, 0);
    this.reserve(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  finish(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}
