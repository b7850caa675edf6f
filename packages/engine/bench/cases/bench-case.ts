/** A measurement that is more than one fio job: what it needs and what it tells. */

export interface CaseOptions {
  /** Exists, on the file system that is to be measured; a case makes folders of its own in it and removes them. */
  readonly folder: string;
  /** Seconds of load per measurement. */
  readonly seconds: number;
  /** 1 for the figures that count; less for a quick try: sizes and counts are multiplied by it. */
  readonly scale: number;
  /** A line about what is going on. */
  readonly log: (line: string) => void;
}

/** One figure of one run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  /** '' for a ratio */
  readonly unit: string;
  readonly demand: Demand | null;
  /** What the figure was made of, in words: both sides of a ratio, with their units. */
  readonly detail: string;
}

export interface Demand {
  readonly kind: 'at least' | 'at most';
  readonly value: number;
}

export interface BenchCase {
  readonly name: string;
  /** @throws when something that it starts fails, or when data that is read back is not what was written */
  run(options: CaseOptions): Promise<Figure[]>;
}

export const atLeast = (value: number): Demand => ({ kind: 'at least', value });
export const atMost = (value: number): Demand => ({ kind: 'at most', value });
