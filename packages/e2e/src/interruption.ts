/** For programs that start a cluster of their own: who ends them early is not left with its processes, mounts and loop devices. */
import { rmSync } from 'node:fs';
import type { Cluster } from './cluster.ts';

/** At SIGINT, SIGTERM or SIGHUP: stops the cluster in good order, removes the folder, and ends this process. */
export function stopOnSignal(cluster: Cluster, folder: string): void {
  for (const [signal, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const)
    process.once(signal, () => {
      console.error(`${signal}: stopping the cluster`);
      cluster
        .stop()
        .then(() => rmSync(folder, { recursive: true, force: true }))
        .catch((error: unknown) => console.error(error))
        .finally(() => process.exit(128 + number));
    });
}
