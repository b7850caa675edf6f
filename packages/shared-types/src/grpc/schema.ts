/**
 * The embedded form of a .proto file, made by scripts/generate-protos.ts.
 *
 * Full names start with a dot, as in descriptors. Parsed per file on first use, so that a process pays only for
 * the services that it speaks.
 */
import { schemaTexts } from '../generated/schemas.ts';

/**
 * name, number, type, mode, "deprecated".
 * type: scalar name (`int64!` = as bigint), `.pkg.Message`, or `#pkg.Enum`.
 * mode: "" or absent = singular, `repeated`, `map:<key type>`, `oneof:<name>` (explicit presence).
 */
export type FieldSchema = [name: string, number: number, type: string, mode?: string, deprecated?: string];

/** request, response, 1 = server streams + 2 = client streams. */
export type MethodSchema = [request: string, response: string, flags: number];

export interface FileSchema {
  package: string;
  imports: string[];
  messages: Record<string, FieldSchema[]>;
  enums: Record<string, Record<string, number>>;
  services: Record<string, Record<string, MethodSchema>>;
}

const parsed = new Map<string, FileSchema>();

/** Schema of one .proto file. */
export function fileSchema(file: string): FileSchema {
  let schema = parsed.get(file);
  if (!schema) {
    const text = schemaTexts[file];
    if (text === undefined) throw new Error(`no schema of ${file}`);
    schema = JSON.parse(text) as FileSchema;
    parsed.set(file, schema);
  }
  return schema;
}

/** Fields of a message, looked up in `file` and in what it imports. */
export function messageFields(file: string, fullName: string): { fields: FieldSchema[]; file: string } {
  const pending = [file];
  const seen = new Set(pending);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const schema = fileSchema(name);
    const fields = schema.messages[fullName];
    if (fields) return { fields, file: name };
    for (const next of schema.imports) {
      if (!seen.has(next)) pending.push(next);
      seen.add(next);
    }
  }
  throw new Error(`message ${fullName} is neither in ${file} nor in its imports`);
}
