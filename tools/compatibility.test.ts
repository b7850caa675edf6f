/**
 * docs/compatibility.md as a test: it describes every RPC of the data plane and every command and flag of `longhorn`,
 * and nothing that is not there; each has a known state, a reason where something is missing, and tests that exist.
 *
 * The titles of a table say what its rows are about: `RPC` (of the service in the heading, if it names none),
 * `command`, `command` and `flag`, or something else. A table without `state` lists our additions.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { runCli } from '../packages/engine/src/cli/program.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const PROTO_FOLDERS = ['ptypes', 'imrpc'];
const TESTS_FOLDER = 'packages';

interface Row {
  readonly line: number;
  /** the heading above, without marks */
  readonly heading: string;
  /** by title, in lower case */
  readonly cells: ReadonlyMap<string, string>;
}

/** The rows of all tables. */
function rowsOf(text: string): Row[] {
  const rows: Row[] = [];
  let heading = '';
  let titles: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.startsWith('#')) heading = line.replaceAll(/^#+ |`/g, '');
    if (!line.startsWith('|')) {
      titles = [];
      continue;
    }
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (titles.length === 0) titles = cells.map((title) => title.toLowerCase());
    else if (!/^[|\s-]+$/.test(line)) {
      rows.push({ line: index + 1, heading, cells: new Map(titles.map((title, at) => [title, cells[at] ?? ''])) });
    }
  }
  return rows;
}

/** What stands between backticks. */
function quoted(cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

/** `Service.Rpc`, `command`, `command --flag`; none for a row about something else. */
function subjectsOf({ heading, cells }: Row): string[] {
  const rpcs = quoted(cells.get('rpc')).map((rpc) => (rpc.includes('.') ? rpc : `${heading}.${rpc}`));
  const commands = quoted(cells.get('command'));
  if (!cells.has('flag')) return [...rpcs, ...commands];
  return commands.flatMap((command) => quoted(cells.get('flag')).map((flag) => `${command} ${flag}`));
}

function problemsOfRow({ line, cells }: Row): string[] {
  const state = cells.get('state');
  if (state === undefined) return [];
  const problems: string[] = [];
  if (!['yes', 'partly', 'no'].includes(state)) problems.push(`the state is "${state}": write yes, partly or no`);
  if (state !== 'yes' && (cells.get('remark') ?? '') === '') problems.push(`${state} without a reason`);
  const test = cells.get('test') ?? '';
  const paths = quoted(test);
  if (test !== 'none' && paths.length === 0) problems.push('names no test: write its path, or none');
  for (const path of paths.map((below) => `${TESTS_FOLDER}/${below}`)) {
    if (!existsSync(join(root, path))) problems.push(`there is no test ${path}`);
  }
  return problems.map((problem) => `line ${line}: ${problem}`);
}

/** Known, or the first word of commands that are. */
function isThere(subject: string, known: ReadonlySet<string>): boolean {
  return known.has(subject) || [...known].some((other) => other.startsWith(`${subject} `));
}

/** What is wrong with a document about the interfaces that have these subjects. */
function problemsOf(text: string, known: ReadonlySet<string>): string[] {
  const rows = rowsOf(text);
  const problems = rows.flatMap(problemsOfRow);
  const described = new Set<string>();
  for (const row of rows) {
    const subjects = subjectsOf(row);
    const isOfInterface = row.cells.has('rpc') || row.cells.has('command');
    if (isOfInterface && subjects.length === 0) problems.push(`line ${row.line}: names nothing in backticks`);
    for (const subject of subjects) {
      if (described.has(subject)) problems.push(`line ${row.line}: ${subject} is described twice`);
      described.add(subject);
      // A command of Longhorn's that we do not have is described as `no`; RPCs are all declared.
      const mayBeMissing = row.cells.get('state') === 'no' && !row.cells.has('rpc');
      if (!mayBeMissing && !isThere(subject, known)) problems.push(`line ${row.line}: ${subject} does not exist`);
    }
  }
  for (const subject of known) if (!described.has(subject)) problems.push(`${subject} is not described`);
  return problems;
}

/** `Service.Rpc` of all services of the data plane. */
function rpcSubjects(): string[] {
  const subjects: string[] = [];
  for (const folder of PROTO_FOLDERS.map((name) => join(root, 'packages/shared-types/proto', name))) {
    for (const file of readdirSync(folder)) {
      const text = readFileSync(join(folder, file), 'utf8');
      for (const [, service = '', body = ''] of text.matchAll(/^service (\w+) \{(.*?)^\}/gms)) {
        for (const [, rpc = ''] of body.matchAll(/^\s*rpc (\w+)\(/gm)) subjects.push(`${service}.${rpc}`);
      }
    }
  }
  return subjects;
}

/** What `longhorn WORDS --help` prints. */
async function helpOf(words: readonly string[]): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    expect(await runCli([...words, '--help'])).toBe(0);
  } finally {
    write.mockRestore();
  }
  return text;
}

/** Commands without commands below them, aliases and flags, as the program itself tells them. */
async function cliSubjects(words: readonly string[] = []): Promise<string[]> {
  const [head = '', list = ''] = (await helpOf(words)).split('\nCommands:\n');
  const path = words.length === 0 ? 'longhorn' : words.join(' ');
  const flags = [...head.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1] ?? '');
  const subjects = flags.filter((flag) => flag !== '--help' || words.length === 0).map((flag) => `${path} ${flag}`);
  const commands = [...list.matchAll(/^ {2}([\w-]+)(?:\|([\w-]+))?/gm)].filter((match) => match[1] !== 'help');
  if (commands.length === 0) subjects.push(path);
  for (const [, name = '', alias] of commands) {
    subjects.push(...(await cliSubjects([...words, name])));
    if (alias !== undefined) subjects.push([...words, alias].join(' '));
  }
  return subjects;
}

describe('docs/compatibility.md', () => {
  it('describes all RPCs, commands and flags, and each with its state', async () => {
    const known = new Set([...rpcSubjects(), ...(await cliSubjects())]);
    const text = readFileSync(join(root, 'docs/compatibility.md'), 'utf8');
    expect(problemsOf(text, known)).toEqual([]);
  });
});

const TEST = 'engine/src/cli/program.test.ts';
const SAMPLE = [
  '### `OneService`',
  '',
  '| RPC   | state | remark | test |',
  '| ----- | ----- | ------ | ---- |',
  `| \`Get\` | yes   |        | \`${TEST}\` |`,
  '| `Set` | no    | later  | none |',
  '',
  '| command       | state  | remark     | test |',
  '| ------------- | ------ | ---------- | ---- |',
  '| `list` (`ls`) | partly | names only | none |',
  '| `backup`      | no     | later      | none |',
  '',
  '| command | flag   | meaning |',
  '| ------- | ------ | ------- |',
  '| `list`  | `--all` | ours    |',
  '',
].join('\n');
const KNOWN = new Set(['OneService.Get', 'OneService.Set', 'list', 'ls', 'list --all']);

/** what is wrong, what of the sample is replaced by what, and what is said */
const FAULTS: [string, string | RegExp, string, string[]][] = [
  ['an RPC is left out', /^.*`Get`.*\n/m, '', ['OneService.Get is not described']],
  ['an RPC does not exist', '| `Set` ', '| `Put`, `Set` ', ['line 6: OneService.Put does not exist']],
  ['an RPC is there twice', '`Set`', '`Set`, `Get`', ['line 6: OneService.Get is described twice']],
  ['a command is left out', /^.*`ls`.*\n/m, '', ['list is not described', 'ls is not described']],
  ['a command does not exist', '`backup`      | no ', '`backup`      | yes ', ['line 11: backup does not exist']],
  ['a flag is left out', '`--all`', '', ['line 15: names nothing in backticks', 'list --all is not described']],
  ['a flag does not exist', '`--all`', '`--all`, `--any`', ['line 15: list --any does not exist']],
  ['a state is unknown', '| no    |', '| later |', ['line 6: the state is "later": write yes, partly or no']],
  ['a reason is missing', 'names only', '', ['line 10: partly without a reason']],
  ['a test does not exist', TEST, 'x.test.ts', ['line 5: there is no test packages/x.test.ts']],
  ['a test is not named', '| later  | none |', '| later | |', ['line 6: names no test: write its path, or none']],
];

describe('the check of the document', () => {
  it('finds nothing in a good one', () => {
    expect(problemsOf(SAMPLE, KNOWN)).toEqual([]);
  });

  it.each(FAULTS)('says that %s', (_fault, from, to, problems) => {
    const broken = SAMPLE.replace(from, to);
    expect(broken).not.toBe(SAMPLE);
    expect(problemsOf(broken, KNOWN)).toEqual(problems);
  });
});
