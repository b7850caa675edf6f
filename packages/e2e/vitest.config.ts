import { defineConfig } from 'vitest/config';

/** End-to-end tests: real processes, real devices, one file after the other. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['test/**/*.e2e.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 900_000,
    hookTimeout: 300_000,
    bail: 1,
  },
});
