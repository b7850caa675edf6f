/** A chart value as data: its default, what is said about it and what is allowed. Everything else is made from it. */

/** A JSON schema as far as values need it. */
export type Schema = Record<string, unknown>;

export interface Value {
  doc: string;
  default: unknown;
  schema: Schema;
  /** Shown in Rancher's form, under this group. */
  question?: string;
}

export interface Group {
  doc: string;
  /** Others put keys of their own here. */
  open?: boolean;
  children: Record<string, Value | Group>;
}

export const isGroup = (entry: Value | Group): entry is Group => 'children' in entry;

/** Named values below a key. */
export const group = (doc: string, children: Record<string, Value | Group>): Group => ({ doc, children });

/** The same for a place that others put keys of their own into. */
export const openGroup = (doc: string, children: Record<string, Value | Group>): Group => ({
  ...group(doc, children),
  open: true,
});

export const text = (initial: string | null, doc: string, schema: Schema = {}): Value => ({
  doc,
  default: initial,
  schema: { type: initial === null ? ['string', 'null'] : 'string', ...schema },
});

export const flag = (initial: boolean, doc: string): Value => ({ doc, default: initial, schema: { type: 'boolean' } });

export const count = (initial: number | null, doc: string, minimum: number, maximum: number): Value => ({
  doc,
  default: initial,
  schema: { type: initial === null ? ['integer', 'null'] : 'integer', minimum, maximum },
});

export const choice = (initial: string, doc: string, allowed: readonly string[]): Value => ({
  doc: `${doc} One of: ${allowed.map((one) => one || '""').join(', ')}.`,
  default: initial,
  schema: { type: 'string', enum: allowed },
});

export const list = (doc: string, items: Schema = {}): Value => ({
  doc,
  default: [],
  schema: { type: 'array', items },
});

export const map = (doc: string, initial: object = {}): Value => ({
  doc,
  default: initial,
  schema: { type: ['object', 'null'], additionalProperties: true },
});

export const labels = (doc: string, initial: Record<string, string> = {}): Value => ({
  doc,
  default: initial,
  schema: { type: ['object', 'null'], additionalProperties: { type: 'string' } },
});

/** The same, asked for in Rancher's form. */
export const asked = (value: Value, under: string): Value => ({ ...value, question: under });
