/** A comparison as text. */
import type { Comparison } from './compare.ts';
import type { Difference } from './difference.ts';

const LINE_MAX = 400;
const short = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)}…` : text;
};

const lines = ({ request, path, local, real }: Difference): string =>
  `${request}\n  ${path}\n    local-cluster: ${short(local)}\n    real:          ${short(real)}`;

export function reportOf(comparison: Comparison): string {
  const { requests, open, accepted, outdated } = comparison;
  return [
    ...open.map(lines),
    ...outdated.map(({ reason, requests: names, path }) => `no longer different: ${names} ${path}: ${reason}`),
    `${requests} requests, ${open.length} differences that are not accepted, ${accepted.length} accepted`,
  ].join('\n');
}
