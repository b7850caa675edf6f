/**
 * Encodes and decodes messages after their embedded schema.
 *
 * Why not protobufjs: it adds 8 MB to every process (four per volume), and turns 64-bit integers into objects or
 * rounds them. It is the generator's parser and the independent codec of the tests.
 *
 * Decoded messages are plain objects with every field present: scalars have their default, lists and maps are
 * empty, a message that was not sent is null. Maps are Records. Unknown fields are dropped.
 */
import { MESSAGE_DEPTH_MAX } from './limits.ts';
import { messageFields, type FieldSchema } from './schema.ts';
import type { ProtoInput } from './service-token.ts';
import { ProtoError, ProtoReader, ProtoWriter } from './wire.ts';

type Plain = Record<string, unknown>;
type Mode = 'singular' | 'repeated' | 'map' | 'oneof';

interface Scalar {
  readonly wireType: number;
  readonly initial: unknown;
  read(reader: ProtoReader): unknown;
  write(writer: ProtoWriter, value: unknown): void;
}

interface Field {
  readonly name: string;
  readonly number: number;
  readonly mode: Mode;
  readonly scalar: Scalar | null;
  /** lazily resolved, as types may be recursive */
  readonly message: (() => MessageCodec) | null;
}

const EMPTY_BYTES = Buffer.alloc(0);

/** One kind of scalar; `write` checks the value, so the cast is the caller's claim about a typed message. */
function scalar<T>(
  wireType: number,
  initial: T,
  read: (reader: ProtoReader) => T,
  write: (writer: ProtoWriter, value: T) => void,
): Scalar {
  return { wireType, initial, read, write: (writer, value) => write(writer, value as T) };
}

const SCALARS: Record<string, Scalar> = {
  string: scalar(
    2,
    '',
    (r) => r.string(),
    (w, v) => w.string(v),
  ),
  bytes: scalar<Uint8Array>(
    2,
    EMPTY_BYTES,
    (r) => r.bytes(),
    (w, v) => w.bytes(v),
  ),
  bool: scalar(
    0,
    false,
    (r) => r.bool(),
    (w, v) => w.bool(v),
  ),
  int32: scalar(
    0,
    0,
    (r) => r.int32(),
    (w, v) => w.int32(v),
  ),
  uint32: scalar(
    0,
    0,
    (r) => r.uint32(),
    (w, v) => w.uint32(v),
  ),
  int64: scalar(
    0,
    0,
    (r) => r.int64(),
    (w, v) => w.int64(v),
  ),
  uint64: scalar(
    0,
    0,
    (r) => r.uint64(),
    (w, v) => w.uint64(v),
  ),
  'int64!': scalar(
    0,
    0n,
    (r) => r.int64Big(),
    (w, v) => w.int64Big(v),
  ),
};

function modeOf(text: string): Mode {
  if (text === '') return 'singular';
  if (text === 'repeated') return 'repeated';
  return text.startsWith('map:') ? 'map' : 'oneof';
}

function compileField(file: string, [name, number, type, mode = '']: FieldSchema): Field {
  if (type.startsWith('.')) {
    return { name, number, mode: modeOf(mode), scalar: null, message: () => messageCodec(file, type) };
  }
  const kind = SCALARS[type.startsWith('#') ? 'int32' : type];
  if (!kind) throw new Error(`${name}: unknown type ${type}`);
  return { name, number, mode: modeOf(mode), scalar: kind, message: null };
}

/** Codec of one message type; fields are compiled when first used. */
export class MessageCodec {
  readonly fullName: string;
  private readonly file: string;
  private readonly schema: FieldSchema[];
  private compiled: { list: Field[]; byNumber: Map<number, Field> } | null = null;

  constructor(file: string, fullName: string, schema: FieldSchema[]) {
    this.file = file;
    this.fullName = fullName;
    this.schema = schema;
  }

  private fields(): { list: Field[]; byNumber: Map<number, Field> } {
    if (!this.compiled) {
      const list = this.schema.map((field) => compileField(this.file, field)).toSorted((a, b) => a.number - b.number);
      this.compiled = { list, byNumber: new Map(list.map((field) => [field.number, field])) };
    }
    return this.compiled;
  }

  encode(message: object): Buffer {
    const writer = new ProtoWriter();
    for (const field of this.fields().list) {
      const value = (message as Plain)[field.name];
      if (value === undefined || value === null) continue;
      try {
        encodeField(writer, field, value);
      } catch (cause) {
        throw atField(this.fullName, field, cause);
      }
    }
    return writer.finish();
  }

  decode(bytes: Buffer, depth = 0): Plain {
    if (depth > MESSAGE_DEPTH_MAX) throw new ProtoError(`${this.fullName}: messages are nested too deep`);
    const reader = new ProtoReader(bytes);
    const { list, byNumber } = this.fields();
    const message: Plain = {};
    for (const field of list) message[field.name] = initialValue(field);
    while (reader.position < reader.end) {
      const tag = reader.uint32();
      const wireType = tag & 7;
      const field = byNumber.get(tag >>> 3);
      if (tag >>> 3 === 0) throw new ProtoError(`${this.fullName}: field number 0`);
      if (!field) reader.skip(wireType);
      else {
        try {
          decodeField(reader, field, wireType, message, depth);
        } catch (cause) {
          throw atField(this.fullName, field, cause);
        }
      }
    }
    return message;
  }
}

function atField(type: string, field: Field, cause: unknown): unknown {
  if (!(cause instanceof ProtoError)) return cause;
  return new ProtoError(`${type.slice(1)}.${field.name}: ${cause.message}`, { cause });
}

function initialValue(field: Field): unknown {
  if (field.mode === 'repeated') return [];
  if (field.mode === 'map') return {};
  if (field.mode === 'oneof' || !field.scalar) return null;
  return field.scalar.initial;
}

function isDefault(kind: Scalar, value: unknown): boolean {
  return value === kind.initial || (value instanceof Uint8Array && value.length === 0);
}

function encodeValue(writer: ProtoWriter, field: Field, number: number, value: unknown): void {
  if (field.scalar) {
    writer.tag(number, field.scalar.wireType);
    field.scalar.write(writer, value);
  } else {
    if (typeof value !== 'object' || value === null) throw new ProtoError(`${String(value)} is not a message`);
    writer.tag(number, 2);
    if (field.message) writer.bytes(field.message().encode(value));
  }
}

function encodeField(writer: ProtoWriter, field: Field, value: unknown): void {
  if (field.mode === 'repeated') {
    if (!Array.isArray(value)) throw new ProtoError('not a list');
    if (field.scalar?.wireType === 0) {
      if (value.length === 0) return;
      const packed = new ProtoWriter();
      for (const item of value) field.scalar.write(packed, item);
      writer.tag(field.number, 2);
      writer.bytes(packed.finish());
    } else for (const item of value) encodeValue(writer, field, field.number, item);
    return;
  }
  if (field.mode === 'map') {
    if (typeof value !== 'object' || value === null) throw new ProtoError('not a map');
    for (const [key, item] of Object.entries(value)) {
      const entry = new ProtoWriter();
      entry.tag(1, 2);
      entry.string(key);
      if (item !== undefined && item !== null) encodeValue(entry, field, 2, item);
      writer.tag(field.number, 2);
      writer.bytes(entry.finish());
    }
    return;
  }
  if (field.mode === 'singular' && field.scalar && isDefault(field.scalar, value)) return;
  encodeValue(writer, field, field.number, value);
}

function decodeValue(reader: ProtoReader, field: Field, depth: number): unknown {
  if (field.scalar) return field.scalar.read(reader);
  const end = reader.lengthEnd();
  const part = reader.buffer.subarray(reader.position, end);
  reader.position = end;
  return field.message ? field.message().decode(part, depth + 1) : null;
}

function decodeField(reader: ProtoReader, field: Field, wireType: number, message: Plain, depth: number): void {
  const expected = field.scalar ? field.scalar.wireType : 2;
  if (field.mode === 'map') {
    if (wireType !== 2) return reader.skip(wireType);
    return decodeMapEntry(reader, field, message[field.name] as Plain, depth);
  }
  if (field.mode === 'repeated' && wireType === 2 && expected === 0) {
    const list = message[field.name] as unknown[];
    const end = reader.lengthEnd();
    const part = new ProtoReader(reader.buffer, reader.position, end);
    while (part.position < part.end) list.push(field.scalar?.read(part));
    reader.position = part.end;
    return;
  }
  // A field of another wire type counts as unknown, as in every other implementation.
  if (wireType !== expected) return reader.skip(wireType);
  const value = decodeValue(reader, field, depth);
  if (field.mode === 'repeated') (message[field.name] as unknown[]).push(value);
  else message[field.name] = value;
}

function decodeMapEntry(reader: ProtoReader, field: Field, map: Plain, depth: number): void {
  const end = reader.lengthEnd();
  const entry = new ProtoReader(reader.buffer, reader.position, end);
  reader.position = end;
  let key = '';
  let value: unknown = field.scalar ? field.scalar.initial : null;
  while (entry.position < entry.end) {
    const tag = entry.uint32();
    if (tag === 10) key = entry.string();
    else if (tag >>> 3 === 2 && (tag & 7) === (field.scalar ? field.scalar.wireType : 2)) {
      value = decodeValue(entry, field, depth);
    } else entry.skip(tag & 7);
  }
  if (value === null && field.message) value = field.message().decode(EMPTY_BYTES, depth + 1);
  // Not a plain assignment: the key `__proto__` would change the object instead of adding an entry.
  Object.defineProperty(map, key, { value, enumerable: true, configurable: true, writable: true });
}

const codecs = new Map<string, MessageCodec>();

/** Codec of the message `fullName` (`.ptypes.Volume`), seen from the .proto file `file`. */
export function messageCodec(file: string, fullName: string): MessageCodec {
  const found = codecs.get(fullName);
  if (found) return found;
  const declaration = messageFields(file, fullName);
  const codec = new MessageCodec(declaration.file, fullName, declaration.fields);
  codecs.set(fullName, codec);
  return codec;
}

/** Encodes a message of a generated interface. */
export function encodeMessage<T>(file: string, fullName: string, message: ProtoInput<T> & object): Buffer {
  return messageCodec(file, fullName).encode(message);
}
