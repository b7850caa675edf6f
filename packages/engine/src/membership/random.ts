/**
 * Seeded random numbers for walks and simulations: the same seed gives the same run on every machine.
 */

/** A generator of its own state; `next` is in [0, 1). */
export interface Random {
  next(): number;
  /** whole number in [0, below) */
  below(limit: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  shuffle<T>(items: readonly T[]): T[];
}

/** mulberry32: 32 bits of state, good enough for test schedules, three multiplications a number. */
export function seededRandom(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    chance: (probability) => next() < probability,
    pick: <T>(items: readonly T[]): T => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('pick from nothing');
      return item;
    },
    shuffle: <T>(items: readonly T[]): T[] => {
      const order = [...items];
      for (let last = order.length - 1; last > 0; last--) {
        const other = below(last + 1);
        const moved = order[last];
        const taken = order[other];
        if (moved === undefined || taken === undefined) throw new Error('shuffle out of range');
        order[last] = taken;
        order[other] = moved;
      }
      return order;
    },
  };
}
