import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** In the order of their numbers: the first file installs what the others use, the last one takes it away. */
class ByNumber extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return Promise.resolve(files.toSorted((a, b) => (a.moduleId < b.moduleId ? -1 : 1)));
  }
}

/** End-to-end tests on a cluster of KUBECONFIG, whose nodes are containers of the local docker. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['test/*.kind.ts'],
    // An installation that stays, or was there before, is not taken away, and its requests are not all known.
    exclude: [
      ...(process.env['E2E_UNINSTALL'] === '1' ? [] : ['test/9*.kind.ts']),
      ...(process.env['E2E_FULL'] === '1' ? [] : ['test/8*.kind.ts']),
    ],
    setupFiles: ['setup.ts'],
    sequence: { sequencer: ByNumber },
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 300_000,
    bail: 1,
  },
});
