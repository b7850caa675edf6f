import { defineConfig } from 'vitest/config';

/** One runner for every package; end-to-end tests have their own configuration in packages/e2e. */
export default defineConfig({
  test: {
    include: ['packages/*/{src,test,sim,bench,kind}/**/*.test.{ts,tsx}', 'tools/**/*.test.ts'],
    exclude: ['**/node_modules/**'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
  },
});
