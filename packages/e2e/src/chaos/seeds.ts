/** Seeds that `npm test` runs: one that shows every kind of fault, and those that once found something, with what it was. */
export interface KeptSeed {
  seed: number;
  /** first round, counted from 0 */
  first: number;
  rounds: number;
  why: string;
}

export const KEPT_SEEDS: readonly KeptSeed[] = [
  { seed: 1, first: 0, rounds: 10, why: 'every slot of main faults and every activity' },
  {
    seed: 103,
    first: 1,
    rounds: 1,
    why: 'an NBD client that connected again was served by a replica whose host had lost what it had not flushed',
  },
  {
    seed: 109,
    first: 9,
    rounds: 1,
    why: 'an NBD client connected again only after the manager had attached the failed volume anew, and was not told',
  },
  { seed: 2, first: 5, rounds: 1, why: 'an engine waited for ever for its only replica, which stood still' },
];
