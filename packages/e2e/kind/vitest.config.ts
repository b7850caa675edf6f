import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** In the order of their numbers. */
class ByNumber extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return Promise.resolve(files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1)));
  }
}

/** Groups follow each other; the files of one run one after the other, unless several `workers` take them. */
const group = (order: number, name: string, include: string[], workers = 1): TestProjectInlineConfiguration => ({
  extends: true,
  test: {
    name,
    include: include.map((pattern) => `test/${pattern}.kind.ts`),
    sequence: { groupOrder: order },
    maxWorkers: workers,
    fileParallelism: workers > 1,
  },
});

/** End-to-end tests on a cluster of KUBECONFIG, whose nodes are containers of the local docker. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    setupFiles: ['setup.ts'],
    pool: 'forks',
    sequence: { sequencer: ByNumber },
    testTimeout: 600_000,
    hookTimeout: 300_000,
    bail: 1,
    projects: [
      group(1, 'install', ['1-*']),
      group(2, 'alone', ['2-*', '3-*', '4-*', '4b-*']),
      // They wait more than they work, and count nothing that another one makes.
      group(3, 'together', ['5-*', '6-*', '7-*'], 3),
      ...(process.env['E2E_FULL'] === '1' ? [group(4, 'full', ['8?-*'])] : []),
      // An installation that stays, or was there before, is not taken away, and its requests are not all known.
      ...(process.env['E2E_UNINSTALL'] === '1' ? [group(5, 'uninstall', ['9-*', '9b-*'])] : []),
    ],
  },
});
