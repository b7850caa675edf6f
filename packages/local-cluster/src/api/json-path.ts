/**
 * The part of JSONPath that printer columns and selectable fields use: `.a.b`, `.a['b']`, `.a[0]`, `.a[*]`,
 * `.a[?(@.b=="c")].d`, and `\.` inside a name.
 */
import { equal, isObject, type Json } from './json.ts';

type Step =
  | { step: 'key'; key: string }
  | { step: 'index'; index: number }
  | { step: 'all' }
  | { step: 'filter'; path: Step[]; equals: boolean; value: Json };

const FILTER = /^\?\(\s*@(.*?)\s*(==|!=)\s*(.+?)\s*\)$/;

function literal(text: string): Json {
  const quoted = /^(['"])(.*)\1$/.exec(text);
  if (quoted !== null) return quoted[2] ?? '';
  if (text === 'true' || text === 'false') return text === 'true';
  const number = Number(text);
  return Number.isNaN(number) ? text : number;
}

function bracket(inner: string): Step | null {
  if (inner === '*') return { step: 'all' };
  if (/^-?\d+$/.test(inner)) return { step: 'index', index: Number(inner) };
  const quoted = /^(['"])(.*)\1$/.exec(inner);
  if (quoted !== null) return { step: 'key', key: quoted[2] ?? '' };
  const filter = FILTER.exec(inner);
  if (filter === null) return null;
  const path = parse(filter[1] ?? '');
  if (path === null) return null;
  return { step: 'filter', path, equals: filter[2] === '==', value: literal(filter[3] ?? '') };
}

function parse(text: string): Step[] | null {
  const steps: Step[] = [];
  let rest = text;
  while (rest !== '') {
    const key = /^\.((?:\\.|[^.[\\])+)/.exec(rest);
    if (key !== null) {
      steps.push({ step: 'key', key: (key[1] ?? '').replaceAll(/\\(.)/g, '$1') });
      rest = rest.slice(key[0].length);
      continue;
    }
    const brackets = /^\.?\[((?:\?\([^)]*\)|[^\]])*)\]/.exec(rest);
    const step = brackets === null ? null : bracket((brackets[1] ?? '').trim());
    if (brackets === null || step === null) return null;
    steps.push(step);
    rest = rest.slice(brackets[0].length);
  }
  return steps;
}

function walk(value: Json, steps: readonly Step[]): Json[] {
  const [step, ...rest] = steps;
  if (step === undefined) return [value];
  switch (step.step) {
    case 'key': {
      const inner = isObject(value) && Object.hasOwn(value, step.key) ? value[step.key] : undefined;
      return inner === undefined ? [] : walk(inner, rest);
    }
    case 'index': {
      const inner = Array.isArray(value) ? value.at(step.index) : undefined;
      return inner === undefined ? [] : walk(inner, rest);
    }
    case 'all': {
      const all = Array.isArray(value) ? value : isObject(value) ? Object.values(value) : [];
      return all.flatMap((inner) => (inner === undefined ? [] : walk(inner, rest)));
    }
    case 'filter': {
      const all = Array.isArray(value) ? value : [];
      return all
        .filter((inner) => walk(inner, step.path).some((found) => equal(found, step.value)) === step.equals)
        .flatMap((inner) => walk(inner, rest));
    }
  }
}

const parsed = new Map<string, Step[] | null>();

/** All values that a path finds; none when it cannot be read. */
export function valuesAt(value: Json, path: string): Json[] {
  let steps = parsed.get(path);
  if (steps === undefined) {
    steps = parse(path.replace(/^\{(.*)\}$/, '$1'));
    parsed.set(path, steps);
  }
  return steps === null ? [] : walk(value, steps);
}
