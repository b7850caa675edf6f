/** values.yaml, values.schema.json, questions.yaml and the names of the settings, from the values as data. */
import { stringify } from 'yaml';
import { settingsWithValue, valueName } from './setting-values.ts';
import { isGroup, type Group, type Schema, type Value } from './value.ts';
import { VALUES } from './values.ts';

const WIDTH = 118;
const MADE = 'Made by `node tools/chart/generate.ts` from tools/chart. Do not edit.';

/** A comment of lines that are not too long. */
function comment(doc: string, indent: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of doc.split(' ')) {
    if (line !== '' && indent.length + 2 + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((one) => `${indent}# ${one}\n`).join('');
}

function valueYaml(key: string, value: unknown, indent: string): string {
  const written = stringify({ [key]: value }, { lineWidth: 0, singleQuote: true });
  return written
    .trimEnd()
    .split('\n')
    .map((line) => `${indent}${line}\n`)
    .join('');
}

function valuesYaml(entries: Record<string, Value | Group>, indent: string): string {
  return Object.entries(entries)
    .map(([key, entry]) => {
      const doc = comment(entry.doc, indent);
      if (!isGroup(entry)) return doc + valueYaml(key, entry.default, indent);
      return `${doc}${indent}${key}:\n${valuesYaml(entry.children, `${indent}  `)}`;
    })
    .join(indent === '' ? '\n' : '');
}

/** Unknown keys are refused: a value that is misspelled would be one that is silently not applied. */
function schemaOf(entry: Value | Group): Schema {
  if (!isGroup(entry)) return { description: entry.doc, ...entry.schema };
  return {
    description: entry.doc,
    type: 'object',
    properties: Object.fromEntries(Object.entries(entry.children).map(([key, child]) => [key, schemaOf(child)])),
    additionalProperties: entry.open === true,
  };
}

interface Question {
  variable: string;
  label: string;
  description: string;
  group: string;
  type: string;
  default: unknown;
  options?: unknown[];
}

function questionOf(path: string, { doc, default: initial, schema, question }: Value): Question[] {
  if (question === undefined) return [];
  const allowed = Array.isArray(schema['enum']) ? schema['enum'] : null;
  const simple = typeof initial === 'boolean' ? 'boolean' : typeof initial === 'number' ? 'int' : 'string';
  return [
    {
      variable: path,
      label: path.split('.').at(-1) ?? path,
      description: doc,
      group: question,
      type: allowed === null ? simple : 'enum',
      default: initial ?? '',
      ...(allowed === null ? {} : { options: allowed }),
    },
  ];
}

function questions(entries: Record<string, Value | Group>, prefix: string): Question[] {
  return Object.entries(entries).flatMap(([key, entry]) =>
    isGroup(entry) ? questions(entry.children, `${prefix}${key}.`) : questionOf(`${prefix}${key}`, entry),
  );
}

function settingNames(): string {
  const { true: multi, false: plain } = Object.groupBy(settingsWithValue(), ([, definition]) =>
    definition.dataEngineSpecific ? 'true' : 'false',
  ) as Record<'true' | 'false', ReturnType<typeof settingsWithValue>>;
  const rows = (entries: ReturnType<typeof settingsWithValue>): string =>
    entries.map(([name]) => `${valueName(name)}: ${name}\n`).join('');
  return (
    `{{/* ${MADE} */}}\n` +
    `{{/* Values of defaultSettings to names of settings. */}}\n` +
    `{{- define "longhorn.settingNames" -}}\n${rows([...plain, ...multi])}{{- end -}}\n`
  );
}

/** File name below charts/longhorn -> content. */
export function chartFiles(): Map<string, string> {
  const schema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart longhorn',
    ...schemaOf({ doc: MADE, children: VALUES }),
  };
  return new Map([
    ['values.yaml', `# ${MADE}\n\n${valuesYaml(VALUES, '')}`],
    ['values.schema.json', `${JSON.stringify(schema, null, 2)}\n`],
    [
      'questions.yaml',
      `# ${MADE}\n${stringify({ categories: ['storage'], questions: questions(VALUES, '') }, { lineWidth: 0 })}`,
    ],
    ['templates/_setting-names.tpl', settingNames()],
  ]);
}
