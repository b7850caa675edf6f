/**
 * An engine without a control side, for benchmarks of the data path alone: links, core, NBD.
 *
 *     engine-main.ts SIZE SOCKET REPLICA...      REPLICA: unix:PATH or tcp:HOST:PORT
 */
import { CORE_LIMITS } from '../src/controller/core/core-limits.ts';
import { nodeClock } from '../src/controller/core/node-clock.ts';
import { openReplicaLink, type ReplicaTarget } from '../src/controller/core/replica-link.ts';
import { VolumeCore } from '../src/controller/core/volume-core.ts';
import { openNbdFrontend } from '../src/frontend/nbd/nbd-frontend.ts';

const [size, unixPath, ...replicas] = process.argv.slice(2);
if (!size || !unixPath || replicas.length === 0) throw new Error('usage: engine-main.ts SIZE SOCKET REPLICA...');

const core = new VolumeCore({
  sizeBytes: Number(size),
  clock: nodeClock,
  limits: CORE_LIMITS,
  onMemberFailed: (id, failure) => {
    console.error(`member ${id} failed: ${failure.reason}: ${failure.detail}`);
    core.releaseFailed(id);
  },
});

for (const replica of replicas) {
  const link = await openReplicaLink({
    target: targetOf(replica),
    address: replica,
    capabilities: ['flush', 'epoch'],
    epoch: 0,
    clock: nodeClock,
    timeoutMs: 8000,
    isPeerSilent: () => false,
  });
  core.addMember(link, 'reading');
}
const frontend = await openNbdFrontend({ target: core, exportName: 'volume', listen: { unixPath }, allocation: null });
console.log(frontend.endpoint());
process.once('SIGTERM', () => {
  core.close();
  void frontend.close().then(() => process.exit(0));
});

function targetOf(replica: string): ReplicaTarget {
  const [kind, first, port] = replica.split(':');
  if (kind === 'unix' && first) return { path: first };
  if (kind === 'tcp' && first && port) return { host: first, port: Number(port) };
  throw new Error(`replica ${replica}: expected unix:PATH or tcp:HOST:PORT`);
}
