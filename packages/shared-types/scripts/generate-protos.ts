/**
 * Generates `src/generated/` from `proto/`: `node packages/shared-types/scripts/generate-protos.ts`.
 *
 * One module per protobuf package with an interface per message, a constant per enum and a token per service,
 * and `schemas.ts` with one JSON text per .proto file, from which `src/grpc/codec.ts` works. Field names are
 * those of the .proto files, unchanged. Deterministic: a test compares the output with what is checked in.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import type { FieldSchema, FileSchema, MethodSchema } from '../src/grpc/schema.ts';

const packageFolder = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const protoFolder = join(packageFolder, 'proto');
const outputFolder = join(packageFolder, 'src/generated');

/** int64 fields that are bigint: nanoseconds since 1970, and sizes of CSI, where a peer may say up to 2^63. */
const BIGINT_FIELDS = new Set([
  '.ptypes.Replica.last_modify_time',
  '.google.protobuf.Int64Value.value',
  '.csi.v1.CapacityRange.required_bytes',
  '.csi.v1.CapacityRange.limit_bytes',
  '.csi.v1.Volume.capacity_bytes',
  '.csi.v1.GetCapacityResponse.available_capacity',
  '.csi.v1.Snapshot.size_bytes',
  '.csi.v1.ControllerExpandVolumeResponse.capacity_bytes',
  '.csi.v1.NodeExpandVolumeResponse.capacity_bytes',
  '.csi.v1.VolumeUsage.available',
  '.csi.v1.VolumeUsage.total',
  '.csi.v1.VolumeUsage.used',
]);

const SCALARS: Record<string, string> = {
  string: 'string',
  bytes: 'Buffer',
  bool: 'boolean',
  int32: 'number',
  uint32: 'number',
  int64: 'number',
  uint64: 'number',
};

/** Names of all .proto files, relative to the proto folder, sorted. */
function protoFiles(): string[] {
  return readdirSync(protoFolder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.proto'))
    .toSorted();
}

function loadRoot(files: string[]): protobuf.Root {
  // The library's built-in copies would hide our files.
  for (const file of files) if (file.startsWith('google/')) Reflect.deleteProperty(protobuf.common, file);
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => (target.startsWith(protoFolder) ? target : join(protoFolder, target));
  root.loadSync(files, { keepCase: true });
  root.resolveAll();
  return root;
}

/** Every reflection object below `root` that was declared in `file`. */
function* declared(root: protobuf.NamespaceBase, file: string): Generator<protobuf.ReflectionObject> {
  for (const child of root.nestedArray) {
    const isPlainNamespace =
      !(child instanceof protobuf.Type) && !(child instanceof protobuf.Service) && !(child instanceof protobuf.Enum);
    if (!isPlainNamespace && child.filename !== null && relative(protoFolder, child.filename) === file) yield child;
    if (child instanceof protobuf.Namespace) yield* declared(child, file);
  }
}

function fieldSchema(field: protobuf.Field): FieldSchema {
  const resolved = field.resolvedType;
  let type = field.type;
  if (resolved instanceof protobuf.Type) type = resolved.fullName;
  else if (resolved instanceof protobuf.Enum) type = `#${resolved.fullName.slice(1)}`;
  else if (SCALARS[type] === undefined) throw new Error(`${field.fullName}: type ${type} is not supported`);
  if (BIGINT_FIELDS.has(field.fullName)) type = `${type}!`;
  let mode = '';
  if (field instanceof protobuf.MapField) mode = `map:${field.keyType}`;
  else if (field.repeated) mode = 'repeated';
  else if (field.partOf) mode = `oneof:${field.partOf.name}`;
  if (field instanceof protobuf.MapField && field.keyType !== 'string') {
    throw new Error(`${field.fullName}: map key ${field.keyType} is not supported`);
  }
  const deprecated = field.options?.['deprecated'] === true;
  if (deprecated) return [field.name, field.id, type, mode, 'deprecated'];
  return mode === '' ? [field.name, field.id, type] : [field.name, field.id, type, mode];
}

function methodSchema(method: protobuf.Method, packageName: string): MethodSchema {
  const request = method.resolvedRequestType;
  const response = method.resolvedResponseType;
  if (!request || !response) throw new Error(`${method.fullName}: unresolved types`);
  // The parser prefers a message without package over one of the same package: such a name must be written in full.
  for (const [written, resolved] of [
    [method.requestType, request],
    [method.responseType, response],
  ] as const) {
    const local = method.root.lookup(`.${packageName}.${written}`.replace('..', '.'), protobuf.Type);
    if (local && local !== resolved) throw new Error(`${method.fullName}: write the package before ${written}`);
  }
  const flags = (method.responseStream ? 1 : 0) + (method.requestStream ? 2 : 0);
  return [request.fullName, response.fullName, flags];
}

function importsOf(file: string, all: string[], source: string): string[] {
  const imports = [...source.matchAll(/^import "([^"]+)";$/gm)].map((match) => match[1] ?? '');
  for (const name of imports) if (!all.includes(name)) throw new Error(`${file}: imports ${name}, which is not here`);
  return imports;
}

function fileSchema(root: protobuf.Root, file: string, imports: string[], packageName: string): FileSchema {
  const schema: FileSchema = { package: packageName, imports, messages: {}, enums: {}, services: {} };
  for (const object of declared(root, file)) {
    if (object instanceof protobuf.Type) schema.messages[object.fullName] = object.fieldsArray.map(fieldSchema);
    else if (object instanceof protobuf.Enum) schema.enums[object.fullName] = { ...object.values };
    else if (object instanceof protobuf.Service) {
      schema.services[object.fullName] = Object.fromEntries(
        object.methodsArray.map((method) => [method.name, methodSchema(method, packageName)]),
      );
    }
  }
  return schema;
}

/** Module (without extension) that holds the types of a protobuf package. */
function moduleOf(packageName: string): string {
  return packageName === '' ? 'nameless' : packageName.replaceAll('.', '-');
}

class ModuleText {
  readonly lines: string[] = [];
  readonly imports = new Map<string, Set<string>>();
  readonly packageName: string;
  readonly packageOfType: Map<string, string>;
  constructor(packageName: string, packageOfType: Map<string, string>) {
    this.packageName = packageName;
    this.packageOfType = packageOfType;
  }

  /** TypeScript name of a message or enum (`.pkg.Outer.Inner` -> `Outer_Inner`), imported when foreign. */
  nameOf(fullName: string): string {
    const packageName = this.packageOfType.get(fullName);
    if (packageName === undefined) throw new Error(`unknown type ${fullName}`);
    const prefix = packageName === '' ? '.' : `.${packageName}.`;
    const local = fullName.slice(prefix.length).replaceAll('.', '_');
    if (packageName !== this.packageName) {
      const module = moduleOf(packageName);
      this.imports.set(module, (this.imports.get(module) ?? new Set()).add(local));
    }
    return local;
  }

  fieldType([, , type, mode]: FieldSchema): string {
    let name: string;
    let isMessage = false;
    if (type.startsWith('#')) name = this.nameOf(`.${type.slice(1)}`);
    else if (type.startsWith('.')) {
      name = this.nameOf(type);
      isMessage = true;
    } else name = type.endsWith('!') ? 'bigint' : (SCALARS[type] ?? 'never');
    if (mode === 'repeated') return `${name}[]`;
    if (mode?.startsWith('map:')) return `Record<string, ${name}>`;
    return isMessage || mode?.startsWith('oneof:') ? `${name} | null` : name;
  }

  addEnum(fullName: string, values: Record<string, number>): void {
    const name = this.nameOf(fullName);
    this.lines.push(`export const ${name} = {`);
    for (const [key, value] of Object.entries(values)) this.lines.push(`  ${key}: ${value},`);
    this.lines.push('} as const;', `/** Open: a peer may send a number that has no name. */`);
    this.lines.push(`export type ${name} = number;`, '');
  }

  addMessage(fullName: string, fields: FieldSchema[]): void {
    const name = this.nameOf(fullName);
    if (fields.length === 0) {
      this.lines.push(`export type ${name} = Record<never, never>;`, '');
      return;
    }
    this.lines.push(`export interface ${name} {`);
    for (const field of fields) {
      if (field[4] === 'deprecated') this.lines.push('  /** @deprecated */');
      this.lines.push(`  ${field[0]}: ${this.fieldType(field)};`);
    }
    this.lines.push('}', '');
  }

  addService(fullName: string, file: string, methods: Record<string, MethodSchema>): void {
    const name = fullName.slice(fullName.lastIndexOf('.') + 1);
    const kinds = ['Unary', 'ServerStream', 'ClientStream', 'BidiStream'];
    this.lines.push(`export interface ${name}Methods {`);
    for (const [method, [request, response, flags]] of Object.entries(methods)) {
      const kind = kinds[flags] ?? 'never';
      this.lines.push(`  ${method}: ${kind}<${this.nameOf(request)}, ${this.nameOf(response)}>;`);
      this.imports.set('../grpc/service-token', (this.imports.get('../grpc/service-token') ?? new Set()).add(kind));
    }
    this.lines.push('}', '');
    const token = `{ name: '${fullName.slice(1)}', file: '${file}' }`;
    this.lines.push(`export const ${name}: ServiceToken<${name}Methods> = ${token};`, '');
    this.imports.get('../grpc/service-token')?.add('ServiceToken');
  }

  text(): string {
    const head = ['// Generated by scripts/generate-protos.ts from proto/. Do not edit.'];
    for (const [module, names] of [...this.imports].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const path = module.startsWith('.') ? `${module}.ts` : `./${module}.ts`;
      head.push(`import type { ${[...names].toSorted().join(', ')} } from '${path}';`);
    }
    return `${[...head, '', ...this.lines].join('\n').trimEnd()}\n`;
  }
}

/** All generated files: name -> text. */
export async function generate(readText: (path: string) => string): Promise<Map<string, string>> {
  const files = protoFiles();
  const root = loadRoot(files);
  const schemas = new Map<string, FileSchema>();
  const packageOfType = new Map<string, string>();
  for (const file of files) {
    const source = readText(join(protoFolder, file));
    const packageName = /^package ([\w.]+);$/m.exec(source)?.[1] ?? '';
    const schema = fileSchema(root, file, importsOf(file, files, source), packageName);
    for (const name of [...Object.keys(schema.messages), ...Object.keys(schema.enums)]) {
      packageOfType.set(name, packageName);
    }
    schemas.set(file, schema);
  }
  const modules = new Map<string, ModuleText>();
  for (const [file, schema] of schemas) {
    const module = modules.get(schema.package) ?? new ModuleText(schema.package, packageOfType);
    modules.set(schema.package, module);
    for (const [name, values] of Object.entries(schema.enums)) module.addEnum(name, values);
    for (const [name, fields] of Object.entries(schema.messages)) module.addMessage(name, fields);
    for (const [name, methods] of Object.entries(schema.services)) module.addService(name, file, methods);
  }
  const output = new Map<string, string>();
  for (const [packageName, module] of modules) output.set(`${moduleOf(packageName)}.ts`, module.text());
  const lines = ['// Generated by scripts/generate-protos.ts from proto/. Do not edit.', ''];
  lines.push('/** .proto file -> its schema as JSON text, parsed when a service of the file is first used. */');
  lines.push('export const schemaTexts: Record<string, string> = {');
  for (const [file, schema] of schemas) lines.push(`  '${file}':`, `    '${JSON.stringify(schema)}',`);
  lines.push('};');
  output.set('schemas.ts', `${lines.join('\n')}\n`);
  return output;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { readFileSync } = await import('node:fs');
  mkdirSync(outputFolder, { recursive: true });
  for (const [name, text] of await generate((path) => readFileSync(path, 'utf8'))) {
    writeFileSync(join(outputFolder, name), text);
  }
}
