import { defineConfig } from 'vitest/config';

/** Those that measure how long an I/O waits: one file after the other, with the machine to themselves. */
const ALONE = ['test/story.e2e.ts', 'test/story-nbd.e2e.ts', 'test/chaos.e2e.ts'];

/** End-to-end tests: real processes, real devices. Each file has a cluster of its own, with addresses of its own. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    pool: 'forks',
    testTimeout: 900_000,
    hookTimeout: 300_000,
    bail: 1,
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: ALONE, fileParallelism: false, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: 'together',
          include: ['test/**/*.e2e.ts'],
          exclude: ALONE,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
