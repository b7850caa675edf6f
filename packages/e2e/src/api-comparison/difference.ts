/** Where two answers differ, as paths; and what of it is known and accepted. */
import type { Value } from './normalise.ts';

export interface Difference {
  request: string;
  /** `status`, `body.metadata.name`, `body.items[0]…` */
  path: string;
  local: Value | undefined;
  real: Value | undefined;
}

/** A difference that may stay, with the reason why. */
export interface Accepted {
  /** names of requests */
  requests: RegExp;
  /** where in the answer */
  path: RegExp;
  reason: string;
}

type Walk = (path: string, local: Value | undefined, real: Value | undefined) => void;

/** All places where two values differ; one that only one of them has is one difference. */
export function differencesOf(request: string, local: Value, real: Value): Difference[] {
  const found: Difference[] = [];
  const walk: Walk = (path, left, right) => {
    if (left === right) return;
    if (Array.isArray(left) && Array.isArray(right)) {
      if (left.length !== right.length) found.push({ request, path: `${path}.length`, local: left, real: right });
      else left.forEach((element, index) => walk(`${path}[${index}]`, element, right[index]));
      return;
    }
    if (isRecord(left) && isRecord(right)) {
      for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
        walk(path === '' ? key : `${path}.${key}`, left[key], right[key]);
      return;
    }
    found.push({ request, path, local: left, real: right });
  };
  walk('', local, real);
  return found;
}

function isRecord(value: Value | undefined): value is { [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface Verdict {
  /** nobody accepted them */
  open: Difference[];
  accepted: { difference: Difference; reason: string }[];
  /** accepted differences that are not there any more */
  outdated: Accepted[];
}

export function judge(differences: readonly Difference[], list: readonly Accepted[]): Verdict {
  const verdict: Verdict = { open: [], accepted: [], outdated: [] };
  const used = new Set<Accepted>();
  for (const difference of differences) {
    const rule = list.find(({ requests, path }) => requests.test(difference.request) && path.test(difference.path));
    if (rule === undefined) verdict.open.push(difference);
    else {
      used.add(rule);
      verdict.accepted.push({ difference, reason: rule.reason });
    }
  }
  verdict.outdated = list.filter((rule) => !used.has(rule));
  return verdict;
}
