/** Builds descriptors (google.protobuf.FileDescriptorProto) of our .proto files from their embedded schemas. */
import type { FieldDescriptor, FileDescriptor, MessageDescriptor } from '../generated/reflection.ts';
import { encodeMessage } from './codec.ts';
import { Code, rpcError } from './rpc-error.ts';
import { fileSchema, type FieldSchema, type FileSchema } from './schema.ts';
import type { ProtoInput } from './service-token.ts';

const LABEL_OPTIONAL = 1;
const LABEL_REPEATED = 3;
const TYPE_MESSAGE = 11;
const TYPE_ENUM = 14;
const SCALAR_TYPES: Record<string, number> = {
  int64: 3,
  'int64!': 3,
  uint64: 4,
  int32: 5,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
};

/** Files (given ones and their imports) of which one declares `symbol`; throws NotFound. */
export function containingFile(files: readonly string[], symbol: string): string {
  const wanted = `.${symbol}`;
  for (const file of closure(files)) {
    const { messages, enums, services } = fileSchema(file);
    if (wanted in messages || wanted in enums || wanted in services) return file;
    const method = wanted.lastIndexOf('.');
    if (services[wanted.slice(0, method)]?.[wanted.slice(method + 1)]) return file;
  }
  throw rpcError(Code.NotFound, `symbol not found: ${symbol}`);
}

/** Serialized descriptors of a file and of all that it imports, the file itself first. */
export function descriptorWithImports(file: string): Buffer[] {
  return closure([file]).map((name) =>
    encodeMessage<FileDescriptor>('reflection/file-descriptor.proto', '.reflection.FileDescriptor', describe(name)),
  );
}

function closure(files: readonly string[]): string[] {
  const seen = new Set(files);
  for (const file of seen) for (const name of fileSchema(file).imports) seen.add(name);
  return [...seen];
}

function lastName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf('.') + 1);
}

function describe(file: string): ProtoInput<FileDescriptor> {
  const schema = fileSchema(file);
  const prefix = schema.package === '' ? '' : `.${schema.package}`;
  return {
    name: file,
    package: schema.package,
    dependency: schema.imports,
    message_type: messagesIn(schema, prefix),
    enum_type: enumsIn(schema, prefix),
    service: Object.entries(schema.services).map(([name, methods]) => ({
      name: lastName(name),
      method: Object.entries(methods).map(([method, [input, output, flags]]) => ({
        name: method,
        input_type: input,
        output_type: output,
        server_streaming: (flags & 1) !== 0,
        client_streaming: (flags & 2) !== 0,
      })),
    })),
    syntax: 'proto3',
  };
}

function isDirectlyIn(scope: string, fullName: string): boolean {
  return fullName.slice(0, fullName.lastIndexOf('.')) === scope;
}

function enumsIn(schema: FileSchema, scope: string): { name: string; value: { name: string; number: number }[] }[] {
  return Object.entries(schema.enums)
    .filter(([name]) => isDirectlyIn(scope, name))
    .map(([name, values]) => ({
      name: lastName(name),
      value: Object.entries(values).map(([key, number]) => ({ name: key, number })),
    }));
}

function messagesIn(schema: FileSchema, scope: string): ProtoInput<MessageDescriptor>[] {
  return Object.entries(schema.messages)
    .filter(([name]) => isDirectlyIn(scope, name))
    .map(([name, fields]) => message(schema, name, fields));
}

function message(schema: FileSchema, fullName: string, fields: FieldSchema[]): ProtoInput<MessageDescriptor> {
  const oneofs = [...new Set(fields.flatMap(([, , , mode]) => (mode?.startsWith('oneof:') ? [mode.slice(6)] : [])))];
  const entries = fields.filter(([, , , mode]) => mode?.startsWith('map:')).map((field) => mapEntry(field));
  return {
    name: lastName(fullName),
    field: fields.map((field) => describeField(fullName, field, oneofs)),
    nested_type: [...messagesIn(schema, fullName), ...entries],
    enum_type: enumsIn(schema, fullName),
    oneof_decl: oneofs.map((name) => ({ name })),
  };
}

/** Name that protoc gives to the hidden message of a map field: `backing_images` -> `BackingImagesEntry`. */
function entryName(field: string): string {
  return `${field.replaceAll(/(?:^|_)(.)/g, (_match, letter: string) => letter.toUpperCase())}Entry`;
}

function mapEntry([name, , type]: FieldSchema): ProtoInput<MessageDescriptor> {
  const key: FieldSchema = ['key', 1, 'string'];
  return {
    name: entryName(name),
    field: [describeField('', key, []), describeField('', ['value', 2, type], [])],
    options: { map_entry: true },
  };
}

function describeField(
  message_: string,
  [name, number, type, mode = '', deprecated]: FieldSchema,
  oneofs: string[],
): ProtoInput<FieldDescriptor> {
  const isMap = mode.startsWith('map:');
  const isReference = type.startsWith('.') || type.startsWith('#');
  let kind = SCALAR_TYPES[type] ?? TYPE_MESSAGE;
  if (type.startsWith('#')) kind = TYPE_ENUM;
  return {
    name,
    number,
    label: isMap || mode === 'repeated' ? LABEL_REPEATED : LABEL_OPTIONAL,
    type: isMap ? TYPE_MESSAGE : kind,
    type_name: isMap ? `${message_}.${entryName(name)}` : isReference ? `.${type.slice(1)}` : '',
    oneof_index: mode.startsWith('oneof:') ? oneofs.indexOf(mode.slice(6)) : null,
    options: deprecated ? { deprecated: true } : null,
  };
}
