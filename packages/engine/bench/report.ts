/** Medians of all rounds as a table, and what of it misses what three replicas must reach. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Job, Result } from './jobs.ts';

/** An engine and three replicas that do nothing, together. */
export const IDLE_PSS_MIB_MAX = 260 / 1.048576;

/** What was measured so far: job name -> system name -> one result a round. */
export interface Rounds {
  readonly jobs: Record<string, Record<string, Result[]>>;
  /** system name -> MiB, one a start */
  readonly idlePssMiB: Record<string, number[]>;
}

/** Rounds of earlier runs, when they are kept in a file. */
export function loadRounds(file: string): Rounds {
  if (file === '' || !existsSync(file)) return { jobs: {}, idlePssMiB: {} };
  return JSON.parse(readFileSync(file, 'utf8')) as Rounds;
}

export function storeRounds(file: string, rounds: Rounds): void {
  if (file !== '') writeFileSync(file, `${JSON.stringify(rounds)}\n`);
}

export function addResult(rounds: Rounds, job: string, system: string, result: Result): void {
  const systems = (rounds.jobs[job] ??= {});
  (systems[system] ??= []).push(result);
}

export function addIdlePss(rounds: Rounds, system: string, mib: number): void {
  (rounds.idlePssMiB[system] ??= []).push(mib);
}

/** The table, one line a job and system; ratios need the yardstick. */
export function tableOf(rounds: Rounds, jobs: readonly Job[]): string {
  const lines = [row(['', 'system', 'runs', 'IOPS', 'us', 'MB/s', 'CPU us/IO', 'ratio', 'least..most', 'CPU ratio'])];
  for (const job of jobs) {
    const systems = rounds.jobs[job.name] ?? {};
    const yardstick = systems['quorum'];
    for (const [name, results] of Object.entries(systems)) {
      const figures = [
        medianOf(results, 'iops'),
        medianOf(results, 'latencyUs'),
        medianOf(results, 'mbPerSecond'),
        medianOf(results, 'cpuUsPerIo'),
      ].map((value) => value.toFixed(0));
      const isCompared = yardstick !== undefined && name !== 'quorum';
      const cells = [job.name, name, String(results.length), ...figures];
      lines.push(row(isCompared ? [...cells, ...ratiosOf(results, yardstick)] : cells));
    }
  }
  for (const [name, values] of Object.entries(rounds.idlePssMiB)) {
    lines.push(`${name}: ${(median(values) * 1.048576).toFixed(0)} MB PSS idle, all processes`);
  }
  return lines.join('\n');
}

function ratiosOf(results: readonly Result[], yardstick: readonly Result[]): string[] {
  const each = results.flatMap((result, i) => {
    const other = yardstick[i];
    return other === undefined ? [] : [result.iops / other.iops];
  });
  const spread = `${Math.min(...each).toFixed(2)}..${Math.max(...each).toFixed(2)}`;
  const cpu = medianOf(results, 'cpuUsPerIo') / medianOf(yardstick, 'cpuUsPerIo');
  return [ratioOf(results, yardstick).toFixed(2), spread, cpu.toFixed(2)];
}

/** Sentences, one for each demand that is not met; demands on ratios only when the yardstick was measured. */
export function missedTargets(rounds: Rounds, jobs: readonly Job[]): string[] {
  const missed: string[] = [];
  for (const job of jobs) {
    const ours = rounds.jobs[job.name]?.['ours'];
    const yardstick = rounds.jobs[job.name]?.['quorum'];
    if (ours === undefined || yardstick === undefined || job.required === 0) continue;
    const ratio = ratioOf(ours, yardstick);
    if (ratio < job.required)
      missed.push(`${job.name}: ${ratio.toFixed(2)} times the quorum, ${job.required} is demanded`);
  }
  const idle = rounds.idlePssMiB['ours'];
  if (idle !== undefined && median(idle) > IDLE_PSS_MIB_MAX) {
    missed.push(`idle memory: ${(median(idle) * 1.048576).toFixed(0)} MB PSS, 260 MB are allowed`);
  }
  return missed;
}

function ratioOf(results: readonly Result[], yardstick: readonly Result[]): number {
  return medianOf(results, 'iops') / medianOf(yardstick, 'iops');
}

function medianOf(results: readonly Result[], field: keyof Result): number {
  return median(results.map((result) => result[field]));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function row(cells: readonly string[]): string {
  const widths = [22, 7, 4, 8, 7, 7, 9, 6, 11, 9];
  const padded = cells.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
  return padded.join(' ').trimEnd();
}
