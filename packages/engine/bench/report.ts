/** Medians of all runs as tables, and what of them misses what three replicas must reach. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Demand, Figure } from './cases/bench-case.ts';
import type { Job, Result } from './jobs.ts';

/** What was measured so far; the form of a file of `--results`. */
export interface Rounds {
  /** job name -> system name -> one result a run */
  readonly jobs: Record<string, Record<string, Result[]>>;
  /** system name -> MB (10^6 bytes), one a start */
  readonly idlePssMb: Record<string, number[]>;
  /** name of a figure -> one a run */
  readonly figures: Record<string, Figure[]>;
}

/** One line of the table of figures. */
interface Judged {
  readonly name: string;
  readonly values: readonly number[];
  readonly unit: string;
  readonly demand: Demand | null;
  readonly detail: string;
}

/** Rounds of earlier runs, when they are kept in a file. */
export function loadRounds(file: string): Rounds {
  const kept = file === '' || !existsSync(file) ? {} : (JSON.parse(readFileSync(file, 'utf8')) as Partial<Rounds>);
  return { jobs: kept.jobs ?? {}, idlePssMb: kept.idlePssMb ?? {}, figures: kept.figures ?? {} };
}

export function storeRounds(file: string, rounds: Rounds): void {
  if (file !== '') writeFileSync(file, `${JSON.stringify(rounds)}\n`);
}

export function addResult(rounds: Rounds, job: string, system: string, result: Result): void {
  const systems = (rounds.jobs[job] ??= {});
  (systems[system] ??= []).push(result);
}

export function addIdlePss(rounds: Rounds, system: string, bytes: number): void {
  (rounds.idlePssMb[system] ??= []).push(bytes / 1e6);
}

export function addFigures(rounds: Rounds, figures: readonly Figure[]): void {
  for (const figure of figures) (rounds.figures[figure.name] ??= []).push(figure);
}

/** `met` or `missed`; "" without a demand. */
export function verdictOf(value: number, demand: Demand | null): string {
  if (demand === null) return '';
  const isMet = demand.kind === 'at least' ? value >= demand.value : value <= demand.value;
  return isMet ? 'met' : 'missed';
}

/** One line a job and system that is not the yardstick; ratios need the yardstick. */
export function tableOfJobs(rounds: Rounds, jobs: readonly Job[]): string {
  const heads = ['IOPS', 'quorum', 'ratio', 'least..most', 'demand', '', 'CPU us/IO', 'quorum', 'ratio', 'demand', ''];
  const lines = [jobRow(['', 'system', 'runs', ...heads])];
  for (const job of jobs) {
    const systems = rounds.jobs[job.name] ?? {};
    const yardstick = systems['quorum'];
    const names = Object.keys(systems).filter((name) => name !== 'quorum');
    for (const name of names.length === 0 && yardstick !== undefined ? ['quorum'] : names) {
      lines.push(jobLine(job, name, systems[name] ?? [], name === 'quorum' ? undefined : yardstick));
    }
  }
  for (const [name, values] of Object.entries(rounds.idlePssMb)) {
    lines.push(`${name}: ${median(values).toFixed(0)} MB PSS idle, all processes`);
  }
  return lines.join('\n');
}

function jobLine(job: Job, name: string, results: readonly Result[], yardstick: readonly Result[] | undefined): string {
  const [iops, cpu] = [medianOf(results, 'iops'), medianOf(results, 'cpuUsPerIo')];
  const cells = [job.name, name, String(results.length), iops.toFixed(0)];
  if (yardstick === undefined) return jobRow([...cells, '', '', '', '', '', cpu.toFixed(0)]);
  const demands = name === 'ours' ? demandsOf(job) : { ratio: null, cpuRatio: null };
  const [ratio, cpuRatio] = [ratioOf(results, yardstick, 'iops'), ratioOf(results, yardstick, 'cpuUsPerIo')];
  cells.push(medianOf(yardstick, 'iops').toFixed(0), ratio.toFixed(2), spreadOf(results, yardstick));
  cells.push(textOf(demands.ratio), verdictOf(ratio, demands.ratio));
  cells.push(cpu.toFixed(0), medianOf(yardstick, 'cpuUsPerIo').toFixed(0), cpuRatio.toFixed(2));
  return jobRow([...cells, textOf(demands.cpuRatio), verdictOf(cpuRatio, demands.cpuRatio)]);
}

function demandsOf(job: Job): { ratio: Demand; cpuRatio: Demand | null } {
  return {
    ratio: { kind: 'at least', value: job.leastRatio },
    cpuRatio: job.mostCpuRatio === null ? null : { kind: 'at most', value: job.mostCpuRatio },
  };
}

/** Least and most of the ratios of runs that were made one after the other. */
function spreadOf(results: readonly Result[], yardstick: readonly Result[]): string {
  const each = results.flatMap((result, i) => {
    const other = yardstick[i];
    return other === undefined ? [] : [result.iops / other.iops];
  });
  return `${Math.min(...each).toFixed(2)}..${Math.max(...each).toFixed(2)}`;
}

/** Two lines a figure: the second says what the last run's was made of. */
export function tableOfFigures(rounds: Rounds): string {
  const lines = [figureRow(['', 'runs', 'median', 'least..most', 'unit', 'demand', ''])];
  for (const { name, values, unit, demand, detail } of judged(rounds)) {
    const value = median(values);
    const spread = `${rounded(Math.min(...values))}..${rounded(Math.max(...values))}`;
    const cells = [name, String(values.length), rounded(value), spread, unit, textOf(demand), verdictOf(value, demand)];
    lines.push(figureRow(cells), ...(detail === '' ? [] : [`    ${detail}`]));
  }
  return lines.join('\n');
}

function judged(rounds: Rounds): Judged[] {
  return Object.entries(rounds.figures).flatMap(([name, runs]) => {
    const last = runs.at(-1);
    if (last === undefined) return [];
    const { unit, demand, detail } = last;
    return [{ name, values: runs.map(({ value }) => value), unit, demand, detail }];
  });
}

/** Sentences, one for each demand on a job that is not met; only where the yardstick was measured. */
export function missedByJobs(rounds: Rounds, jobs: readonly Job[]): string[] {
  return jobs.flatMap((job) => {
    const ours = rounds.jobs[job.name]?.['ours'];
    const yardstick = rounds.jobs[job.name]?.['quorum'];
    if (ours === undefined || yardstick === undefined) return [];
    const demands = demandsOf(job);
    return [
      ...missed(`${job.name}: IOPS by the quorum's`, ratioOf(ours, yardstick, 'iops'), demands.ratio),
      ...missed(`${job.name}: CPU per I/O by the quorum's`, ratioOf(ours, yardstick, 'cpuUsPerIo'), demands.cpuRatio),
    ];
  });
}

/** Sentences, one for each demand on a figure that is not met. */
export function missedByFigures(rounds: Rounds): string[] {
  return judged(rounds).flatMap(({ name, values, unit, demand }) =>
    missed(unit === '' ? name : `${name}, ${unit}`, median(values), demand),
  );
}

function missed(what: string, value: number, demand: Demand | null): string[] {
  if (demand === null || verdictOf(value, demand) === 'met') return [];
  return [`${what}: ${rounded(value)}, ${demand.kind} ${demand.value} is demanded`];
}

function ratioOf(results: readonly Result[], yardstick: readonly Result[], field: keyof Result): number {
  return medianOf(results, field) / medianOf(yardstick, field);
}

function medianOf(results: readonly Result[], field: keyof Result): number {
  return median(results.map((result) => result[field]));
}

/** Of an even number of values the upper one of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Two digits after the point where they say something. */
function rounded(value: number): string {
  return value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0);
}

function textOf(demand: Demand | null): string {
  return demand === null ? '' : `${demand.kind === 'at least' ? '>=' : '<='} ${demand.value}`;
}

const JOB_WIDTHS = [22, 7, 4, 8, 8, 6, 12, 7, 7, 10, 7, 6, 7, 7];
const FIGURE_WIDTHS = [52, 4, 9, 16, 8, 9, 7];

function jobRow(cells: readonly string[]): string {
  return row(cells, JOB_WIDTHS, 2);
}

function figureRow(cells: readonly string[]): string {
  return row(cells, FIGURE_WIDTHS, 1);
}

/** The first `names` cells begin at their column's left, the others end at its right. */
function row(cells: readonly string[], widths: readonly number[], names: number): string {
  const padded = cells.map((cell, i) => (i < names ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
  return padded.join(' ').trimEnd();
}
