/** Folders for tests that need real files; removed by the test. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));

export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'longhorn-test-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Unpacks the replica that upstream's engine v1.10.1 wrote; returns its folder. */
export function unpackFixture(into: string): string {
  execFileSync('tar', ['-xzf', join(FIXTURES, 'replica-v1.10.1.tar.gz'), '-C', into]);
  return join(into, 'replica');
}

export const FIXTURE_MANIFEST = join(FIXTURES, 'replica-v1.10.1.json');
