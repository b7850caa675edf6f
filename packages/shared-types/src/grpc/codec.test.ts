/** The codec against an independent one (protobufjs on the .proto files) and against bytes written by hand. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import type { MembershipRecord, Volume } from '../generated/ptypes.ts';
import { messageCodec } from './codec.ts';
import { fileSchema, messageFields, type FieldSchema } from './schema.ts';
import { ProtoError } from './wire.ts';

const protoFolder = fileURLToPath(new URL('../../proto', import.meta.url));
const files = readdirSync(protoFolder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.proto'));

function loadIndependentCodec(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => (target.startsWith(protoFolder) ? target : join(protoFolder, target));
  return root.loadSync(files, { keepCase: true });
}

const SCALAR_VALUES: Record<string, fc.Arbitrary<unknown>> = {
  string: fc.string({ unit: 'grapheme', maxLength: 20 }),
  bytes: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  bool: fc.boolean(),
  int32: fc.integer(),
  uint32: fc.integer({ min: 0, max: 0xffffffff }),
  int64: fc.maxSafeInteger(),
  uint64: fc.maxSafeNat(),
  'int64!': fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
};

function fieldValue(file: string, [, , type, mode = '']: FieldSchema, depth: number): fc.Arbitrary<unknown> {
  const isMessage = type.startsWith('.');
  if (isMessage && depth === 0) {
    if (mode === 'repeated') return fc.constant([]);
    return fc.constant(mode.startsWith('map:') ? {} : null);
  }
  const one = isMessage
    ? messageValue(file, type, depth - 1)
    : (SCALAR_VALUES[type.startsWith('#') ? 'int32' : type] ?? fc.constant(null));
  if (mode === 'repeated') return fc.array(one, { maxLength: 3 });
  if (mode.startsWith('map:')) {
    const keys = fc.oneof(fc.string({ maxLength: 8 }), fc.constantFrom('constructor', 'toString'));
    return fc.dictionary(
      keys.filter((key) => key !== '__proto__'),
      one,
      { maxKeys: 3, noNullPrototype: true },
    );
  }
  if (isMessage || mode.startsWith('oneof:')) return fc.option(one);
  return one;
}

function messageValue(file: string, fullName: string, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const declaration = messageFields(file, fullName);
  const oneofs = new Set<string>();
  const values: Record<string, fc.Arbitrary<unknown>> = {};
  for (const field of declaration.fields) {
    const mode = field[3] ?? '';
    const taken = mode.startsWith('oneof:') && oneofs.has(mode);
    if (mode.startsWith('oneof:')) oneofs.add(mode);
    values[field[0]] = taken ? fc.constant(null) : fieldValue(declaration.file, field, depth);
  }
  return fc.record(values);
}

/** Our form of what protobufjs decoded: Long to number, absent to null. */
function independentForm(type: protobuf.Type, bytes: Uint8Array): Record<string, unknown> {
  const message = type.decode(bytes);
  return type.toObject(message, { longs: String, bytes: Buffer, defaults: true, arrays: true, objects: true });
}

function comparable(file: string, fullName: string, message: Record<string, unknown>): Record<string, unknown> {
  const declaration = messageFields(file, fullName);
  const convert = (type: string, value: unknown): unknown => {
    if (type.startsWith('.')) return value === null ? null : comparable(declaration.file, type, value as never);
    if (Buffer.isBuffer(value)) return value.toString('hex');
    return /int64/.test(type) ? String(value) : value;
  };
  const entries = declaration.fields.map(([name, , type, mode = '']) => {
    const value = message[name] ?? null;
    if (mode === 'repeated') return [name, (value as unknown[]).map((item) => convert(type, item))];
    if (!mode.startsWith('map:')) return [name, convert(type, value)];
    const map = Object.entries(value as object).map(([key, item]) => [key, convert(type, item)] as const);
    return [name, Object.fromEntries(map)];
  });
  return Object.fromEntries(entries) as Record<string, unknown>;
}

describe('codec', () => {
  const independent = loadIndependentCodec();
  const messages = files.flatMap((file) => Object.keys(fileSchema(file).messages).map((name) => ({ file, name })));

  it('agrees with protobufjs on every message type, in both directions', () => {
    for (const { file, name } of messages) {
      const codec = messageCodec(file, name);
      const type = independent.lookupType(name);
      fc.assert(
        fc.property(messageValue(file, name, 2), (message) => {
          const expected = comparable(file, name, message);
          const bytes = codec.encode(message);
          expect(comparable(file, name, independentForm(type, bytes))).toEqual(expected);
          const theirs = Buffer.from(type.encode(type.fromObject(comparableInput(message))).finish());
          expect(comparable(file, name, codec.decode(theirs))).toEqual(expected);
        }),
        { numRuns: 8, seed: 7 },
      );
    }
    expect(messages.length).toBeGreaterThan(200);
  });

  const volume = messageCodec('ptypes/controller.proto', '.ptypes.Volume');

  it.each([
    ['name', { name: 'vol' }, '0a03766f6c'],
    ['a size of 2 GiB', { size: 2 ** 31 }, '108080808008'],
    ['a size of -1', { size: -1 }, '10ffffffffffffffffff01'],
    ['the largest safe size', { size: Number.MAX_SAFE_INTEGER }, '10ffffffffffffff0f'],
    ['a field above 1000', { epoch: 5 }, 'c03e05'],
    ['a nested list', { membership: { members: ['a', 'b'] } }, 'ca3e061a01611a0162'],
    ['defaults, which are not sent', { name: '', size: 0, isExpanding: false, replicas: [] }, ''],
  ])('writes and reads %s as the bytes written by hand', (_name, message, hex) => {
    expect(volume.encode(message).toString('hex')).toBe(hex);
    const decoded = volume.decode(Buffer.from(hex, 'hex'));
    expect(volume.encode(decoded).toString('hex')).toBe(hex);
  });

  it('gives every field of an empty message its default', () => {
    const record = messageCodec('ptypes/common.proto', '.ptypes.MembershipRecord').decode(Buffer.alloc(0));
    const expected: MembershipRecord = {
      epoch: 0,
      count: 0,
      members: [],
      size: 0,
      chain: [],
      bases: [],
      decided: false,
    };
    expect(record).toEqual(expected);
    expect((volume.decode(Buffer.alloc(0)) as Partial<Volume>).membership).toBeNull();
  });

  it('keeps nanoseconds exact', () => {
    const replica = messageCodec('ptypes/replica.proto', '.ptypes.Replica');
    const nanoseconds = 1_763_000_000_123_456_789n;
    const decoded = replica.decode(replica.encode({ last_modify_time: nanoseconds }));
    expect(decoded['last_modify_time']).toBe(nanoseconds);
  });

  it('keeps the map key __proto__ as an entry', () => {
    const snapshot = messageCodec('ptypes/controller.proto', '.ptypes.VolumeSnapshotRequest');
    const bytes = Buffer.from('120e0a095f5f70726f746f5f5f120161', 'hex');
    const labels = snapshot.decode(bytes)['labels'] as object;
    expect(Object.entries(labels)).toEqual([['__proto__', 'a']]);
    expect(Object.getPrototypeOf(labels)).toBe(Object.prototype);
  });

  it('ignores unknown fields and fields of another wire type', () => {
    expect(volume.decode(Buffer.from('f8ff0301' + '0a0161' + '1201ff' + 'fa3f02abcd', 'hex'))['name']).toBe('a');
  });

  it.each([
    ['a number that never ends', '10ffffffffffffffffffff01', 'size: number longer than 10 bytes'],
    ['a message cut inside a number', '1080', 'size: message ends inside a number'],
    ['a length beyond the message', '0aff', 'name: message ends inside a number'],
    ['a giant length', '0affffffff0f61', 'name: length 4294967295 exceeds the 1 bytes left'],
    ['a size beyond 2^53', '1080808080808080808001', 'size: -9223372036854775808 is beyond 2^53'],
    ['text that is not UTF-8', '0a01ff', 'name: string is not valid UTF-8'],
    ['a group', 'fb0f', 'wire type 3 is not supported'],
    ['field number 0', '0001', 'field number 0'],
  ])('refuses %s', (_name, hex, text) => {
    const decode = (): unknown => volume.decode(Buffer.from(hex, 'hex'));
    expect(decode).toThrow(text);
  });

  it('refuses records nested without end', () => {
    let bytes = Buffer.alloc(0);
    for (let depth = 0; depth < 80; depth++) {
      const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
      bytes = Buffer.concat([Buffer.from([0x32, ...length]), bytes]);
    }
    expect(() => messageCodec('ptypes/common.proto', '.ptypes.MembershipRecord').decode(bytes)).toThrow(
      'nested too deep',
    );
  });

  it.each([
    ['a fraction', { size: 1.5 }, 'ptypes.Volume.size: 1.5 is not an integer within 2^53'],
    ['a size beyond 2^53', { size: 2 ** 63 }, 'ptypes.Volume.size: 9223372036854776000 is not an integer within 2^53'],
    ['a count beyond 32 bits', { replicaCount: 2 ** 31 }, 'ptypes.Volume.replicaCount: 2147483648 is not an int32'],
    ['a number for a string', { name: 5 }, 'ptypes.Volume.name: 5 is not a string'],
  ])('refuses to send %s', (_name, message, text) => {
    expect(() => volume.encode(message)).toThrow(text);
  });

  it('survives any bytes: a message or a ProtoError', () => {
    const surprises: unknown[] = [];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          volume.decode(Buffer.from(bytes));
        } catch (error) {
          if (!(error instanceof ProtoError)) surprises.push(error);
        }
      }),
      { numRuns: 500, seed: 1 },
    );
    expect(surprises).toEqual([]);
  });
});

/** Input for protobufjs: bigint as text, nulls left out. */
function comparableInput(value: unknown): Record<string, unknown> {
  const convert = (item: unknown): unknown => {
    if (typeof item === 'bigint') return item.toString();
    if (Buffer.isBuffer(item) || typeof item !== 'object' || item === null) return item;
    if (Array.isArray(item)) return item.map(convert);
    return Object.fromEntries(
      Object.entries(item)
        .filter(([, part]) => part !== null)
        .map(([key, part]) => [key, convert(part)]),
    );
  };
  return convert(value) as Record<string, unknown>;
}
