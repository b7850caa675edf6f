/** What `bench.ts` measures besides its jobs, in this order. */
import { absenceCase } from './absence.ts';
import type { BenchCase } from './bench-case.ts';
import { blockdevCase } from './blockdev.ts';
import { callsCase } from './calls.ts';
import { memoryCase } from './memory.ts';
import { nbdTlsCase } from './nbd-tls.ts';
import { rebuildCase } from './rebuild.ts';
import { relayCase } from './relay.ts';
import { snapshotLoadCase } from './snapshot-load.ts';
import { snapshotsCase } from './snapshots.ts';
import { startCase } from './start.ts';

export const CASES: readonly BenchCase[] = [
  relayCase,
  blockdevCase,
  snapshotsCase,
  rebuildCase,
  absenceCase,
  snapshotLoadCase,
  nbdTlsCase,
  memoryCase,
  startCase,
  callsCase,
];
