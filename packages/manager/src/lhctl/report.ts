/** What was found, as text for people or as a map node -> level -> messages for programs. */
import type { Finding, Level } from '../environment/node-checks.ts';

export interface NodeReport {
  node: string;
  findings: readonly Finding[];
}

export type Format = 'text' | 'json';

const LEVELS: readonly Level[] = ['error', 'warn', 'info'];
const line = ({ topic, message }: Finding): string => `[${topic}] ${message}`;

/** `{node: {error: [], warn: [], info: []}}`, as upstream's tool prints it. */
export function asMap(reports: readonly NodeReport[]): Record<string, Record<Level, string[]>> {
  return Object.fromEntries(
    reports.map(({ node, findings }) => {
      const of = (level: Level): string[] => findings.filter((finding) => finding.level === level).map(line);
      return [node, { error: of('error'), warn: of('warn'), info: of('info') }];
    }),
  );
}

export function formatted(reports: readonly NodeReport[], format: Format): string {
  if (format === 'json') return JSON.stringify(asMap(reports), null, 2);
  return reports
    .map(({ node, findings }) => {
      const sorted = LEVELS.flatMap((level) => findings.filter((finding) => finding.level === level));
      return [node, ...sorted.map((finding) => `  ${finding.level.padEnd(5)} ${line(finding)}`)].join('\n');
    })
    .join('\n');
}

/** Whether something is missing without which volumes cannot be served on some node. */
export const hasErrors = (reports: readonly NodeReport[]): boolean =>
  reports.some(({ findings }) => findings.some(({ level }) => level === 'error'));
